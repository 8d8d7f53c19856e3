"""Concepts beside the engine: loaded, merged and kept for requests."""
