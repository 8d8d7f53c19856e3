"""The figures that were published for Custom Diffusion and what it was compared with.

Sources: Kumari et al. 2023 (arXiv 2212.04488), and the README of its code for CustomConcept101,
there with generated regularization pictures. Text is CLIPScore with CLIP ViT-B/32, images are
compared by CLIP ViT-B/32 and DINO ViT-S/16; all with Stable Diffusion 1.4, DDPM and guidance 6.
They can be set beside figures of the same data set, base and embedders, and no others.
"""

from dataclasses import dataclass
from typing import Literal

from cdcore.evaluation.methods import Method, Section

__all__ = ["PUBLISHED", "Protocol", "Published", "published"]

Protocol = Literal["paper", "200 steps", "50 steps"]
"""The paper's own ten concepts and five pairs; or CustomConcept101 with so many steps."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Published:
    """One line of a published table.

    Attributes:
        protocol: The table that it is from.
        section: Single concepts, or pairs.
        name: What it is called there.
        method: Ours that does the same; None where there is none.
        text: CLIPScore.
        image_clip: Mean cosine.
        image_dino: Mean cosine; None where there is none.
        kid: Times 1000; None where there is none.
    """

    protocol: Protocol
    section: Section
    name: str
    method: Method | None
    text: float
    image_clip: float
    image_dino: float | None
    kid: float | None


_Line = tuple[Protocol, Section, str, Method | None, float, float, float | None, float | None]

_OURS, _JOINT, _MERGED = "Custom Diffusion", "Custom Diffusion, joint", "Custom Diffusion, merge"
_INVERSION, _DREAMBOOTH = "Textual Inversion", "DreamBooth"

_LINES: tuple[_Line, ...] = (
    ("paper", "single", _INVERSION, None, 0.670, 0.827, None, 22.27),
    ("paper", "single", _DREAMBOOTH, None, 0.781, 0.776, None, 32.53),
    ("paper", "single", _OURS, "single", 0.795, 0.775, None, 20.96),
    ("paper", "pair", _INVERSION, None, 0.544, 0.630, None, None),
    ("paper", "pair", _DREAMBOOTH, None, 0.783, 0.695, None, None),
    ("paper", "pair", _JOINT, "joint", 0.801, 0.706, None, None),
    ("paper", "pair", _MERGED, "constrained", 0.800, 0.695, None, None),
    ("200 steps", "single", _INVERSION, None, 0.6126, 0.7524, 0.5111, None),
    ("200 steps", "single", _DREAMBOOTH, None, 0.7522, 0.7520, 0.5533, None),
    ("200 steps", "single", _OURS, "single", 0.7602, 0.7440, 0.5311, None),
    ("200 steps", "pair", _DREAMBOOTH, None, 0.7383, 0.6625, 0.3816, None),
    ("200 steps", "pair", _JOINT, "joint", 0.7567, 0.6680, 0.3760, None),
    ("200 steps", "pair", _MERGED, "constrained", 0.7627, 0.6577, 0.3650, None),
    ("50 steps", "single", _INVERSION, None, 0.6117, 0.7530, 0.5128, None),
    ("50 steps", "single", _DREAMBOOTH, None, 0.7514, 0.7521, 0.5541, None),
    ("50 steps", "single", _OURS, "single", 0.7583, 0.7456, 0.5335, None),
    ("50 steps", "pair", _DREAMBOOTH, None, 0.7366, 0.6636, 0.3849, None),
    ("50 steps", "pair", _JOINT, "joint", 0.7534, 0.6704, 0.3799, None),
    ("50 steps", "pair", _MERGED, "constrained", 0.7599, 0.6595, 0.3684, None),
)

PUBLISHED: tuple[Published, ...] = tuple(
    Published(
        protocol=protocol,
        section=section,
        name=name,
        method=method,
        text=text,
        image_clip=image_clip,
        image_dino=image_dino,
        kid=kid,
    )
    for protocol, section, name, method, text, image_clip, image_dino, kid in _LINES
)
"""All of them."""


def published(protocol: Protocol) -> tuple[Published, ...]:
    """Return the lines of one table."""
    return tuple(line for line in PUBLISHED if line.protocol == protocol)
