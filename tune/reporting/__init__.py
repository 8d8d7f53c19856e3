"""Reporting a sweep: table, chart, grid of the best."""
