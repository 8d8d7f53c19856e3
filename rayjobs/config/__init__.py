"""What users write: one configuration class for each command."""
