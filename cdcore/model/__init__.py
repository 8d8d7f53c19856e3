"""The frozen base: where it lies, its parts, and the seam where text keys and values enter."""
