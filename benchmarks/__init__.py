"""Measurements: each script prints its figures and writes them to a file with ``--json``."""
