"""What modifier tokens start from: what the user names, else what suits the base.

Kumari et al. 2023 (arXiv 2212.04488) start a modifier token from a rarely occurring token of the
vocabulary, and several from different ones. Where a base has none left, a modifier token starts
from its class noun.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from cdcore.concepts.subject import Subject

if TYPE_CHECKING:
    from cdcore.model.profiles import Profile

__all__ = ["initializer_tokens"]


def initializer_tokens(
    profile: "Profile", subjects: Sequence[Subject], asked: Sequence[str | None]
) -> list[str]:
    """Return the word that each subject's modifier token starts from.

    Args:
        profile: Its words are given out in order, each once, and never one that is asked for.
        subjects: Of one training. One without a modifier token has nothing to start: its word is
            its class noun and takes none away.
        asked: What the user names for each; None leaves it to the profile.
    """
    taken = {word.lower() for word in asked if word is not None}
    free = iter([word for word in profile.initializer_tokens if word not in taken])
    words = []
    for subject, word in zip(subjects, asked, strict=True):
        if word is None and subject.token is not None:
            word = next(free, None)
        words.append(word or subject.class_noun)
    return words
