"""Tensors of files: containers, families of bases, and the names that keys have."""
