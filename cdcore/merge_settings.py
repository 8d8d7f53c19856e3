"""How concepts are merged where the user says nothing; docs/merging.md has the measurements."""

from typing import Literal

__all__ = ["DEFAULT_METHOD", "DEFAULT_PENALTY", "MergeMethod"]

MergeMethod = Literal["constrained", "ridge", "sum"]

DEFAULT_METHOD: MergeMethod = "ridge"
DEFAULT_PENALTY = 3.0
"""Of a ridge merge: how much a mean square change on captions weighs against one on a concept."""
