"""A registry of concept files: versions, publishing, watching, on disk or in an object store."""
