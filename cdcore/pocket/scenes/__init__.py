"""Scenes of the pocket world: things, what they are, and captions that say it."""
