"""Other tools' files of a concept: one module for each format, key names in ``names``."""
