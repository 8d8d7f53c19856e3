"""The catalogue: which concepts there are, whose they are, and how they look."""
