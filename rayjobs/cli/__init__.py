"""What a job shows and checks in its own process: quiet starts, progress, consoles, outputs."""
