"""Tensors of files: containers, the bases they are of, and the names that keys have."""
