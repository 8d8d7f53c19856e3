"""Other tools' files of a concept: one module for each format, and what they share."""
