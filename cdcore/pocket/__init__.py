"""The pocket world: a seeded renderer of small captioned picture-book scenes."""
