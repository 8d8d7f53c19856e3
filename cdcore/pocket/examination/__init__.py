"""Examining a pocket base: what it draws of what it is asked, and how that is shown."""
