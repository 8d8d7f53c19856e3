"""Merging concepts in closed form: settings, solution, checks and report."""
