"""Runs: their folder, checkpoints, curves, progress and publishing."""
