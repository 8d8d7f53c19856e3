"""Evaluation jobs: a driver that orders cells from workers, and the report."""
