"""Exports: a concept as the files and the prompt of another tool."""
