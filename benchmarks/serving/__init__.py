"""Serving under load, beside other systems."""
