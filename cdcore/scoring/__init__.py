"""Figures of pictures of any base: alignment, drift, distances, and who measures them."""
