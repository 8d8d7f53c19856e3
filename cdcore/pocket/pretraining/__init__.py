"""Pretraining a pocket base: an album of drawings, four stages, and their loop."""
