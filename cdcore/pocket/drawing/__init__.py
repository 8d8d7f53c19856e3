"""Drawing the pocket world: figures, patterns, accessories, backgrounds and styles."""
