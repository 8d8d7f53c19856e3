"""Training jobs: driver, workers, DeepSpeed, validation, and the end of a run."""
