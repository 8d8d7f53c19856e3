"""What was learned: a concept, its file, what merges need of it, and its use in diffusers."""
