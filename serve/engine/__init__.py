"""The engine: one thread, one device, continuous batches of pictures."""
