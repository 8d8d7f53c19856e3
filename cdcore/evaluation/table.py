"""The table of an evaluation: what was measured, beside what was published."""

from collections.abc import Sequence

from cdcore.evaluation.methods import Method
from cdcore.evaluation.published_results import Protocol, published
from cdcore.evaluation.scores import MethodScores

__all__ = ["HEADER", "NAMES", "markdown", "published_rows", "table_rows"]

NAMES: dict[Method, str] = {
    "base": "base, class noun",
    "single": "concept, K/V",
    "joint": "joint",
    "constrained": "merge, constrained",
    "ridge": "merge, ridge",
    "sum": "merge, sum",
    "masked": "merge, masked",
}
"""How a table calls the methods."""

HEADER = (
    "set",
    "method",
    "entries",
    "text, CLIPScore",
    "image, CLIP",
    "image, DINO",
    "KID x 1000",
    "text, cosine",
    "drift",
    "both present",
)
"""The titles of the columns; the first four figures are those of the published tables."""

_COLUMNS = ("clip_score", "image_clip", "image_dino", "kid", "text_cosine", "drift", "present")
"""What stands under the headings of figures."""
_COUNTED = {"single": "concepts", "pair": "pairs"}


def table_rows(scores: Sequence[MethodScores], *, errors: bool = False) -> list[tuple[str, ...]]:
    """Return what was measured, a row for each section and method.

    Args:
        scores: Means over entries.
        errors: Write the standard error over entries beside each mean of several.
    """
    return [
        (
            _COUNTED[one.section],
            NAMES[one.method],
            str(one.entries),
            *(_measured(one, name, errors=errors) for name in _COLUMNS),
        )
        for one in scores
    ]


def published_rows(protocol: Protocol) -> list[tuple[str, ...]]:
    """Return what was published, in the same columns."""
    counts = {"paper": ("10", "5")}.get(protocol, ("101", "101"))
    return [
        (
            _COUNTED[line.section],
            f"{line.name} [published]",
            counts[line.section == "pair"],
            *_figures(line.text, line.image_clip, line.image_dino),
            "" if line.kid is None else f"{line.kid:z.2f}",
            *("",) * 3,
        )
        for line in published(protocol)
    ]


def markdown(scores: Sequence[MethodScores], protocol: Protocol, made_with: Sequence[str]) -> str:
    """Return the table, concepts before pairs, published lines below the measured ones of each.

    Args:
        scores: What was measured.
        protocol: Which published table.
        made_with: Lines that say what the measured figures were made with.
    """
    rows = []
    for counted in _COUNTED.values():
        rows += [row for row in table_rows(scores, errors=True) if row[0] == counted]
        rows += [row for row in published_rows(protocol) if row[0] == counted]
    lines = ["# Evaluation", "", *(f"- {line}" for line in made_with), ""]
    lines += [_markdown_row(row) for row in (HEADER, ("---",) * len(HEADER), *rows)]
    lines += [
        "",
        "Text is scored against prompts in plain words, without modifier tokens. CLIPScore is",
        "2.5 max(cos, 0). Image figures are mean cosines over all pairs of a sampled and a target",
        "picture; of pairs, the mean over both folders of targets. Drift is 1 - cosine to the",
        "base's picture of the same plain prompt and seed. After ± stands the standard error of",
        "the mean over concepts or pairs. Lines marked [published] are of",
        "Stable Diffusion 1.4 with CLIP ViT-B/32 and DINO ViT-S/16, and can be compared with",
        "figures of the same base, data and embedders only. Their source:",
        f"{_source(protocol)}.",
    ]
    return "\n".join(lines) + "\n"


def _source(protocol: Protocol) -> str:
    if protocol == "paper":
        return "arXiv 2212.04488, its own 10 concepts and 5 pairs, KID on Inception features"
    return f"README of adobe-research/custom-diffusion, CustomConcept101, {protocol} of DDPM"


def _markdown_row(row: Sequence[str]) -> str:
    return f"| {' | '.join(row)} |"


def _measured(one: MethodScores, name: str, *, errors: bool) -> str:
    value, error = getattr(one, name), one.errors.get(name)
    if value is None:
        return ""
    factor, digits = (1000, 2) if name == "kid" else (1, 4)
    text = f"{factor * value:.{digits}f}"
    return text if error is None or not errors else f"{text} ± {factor * error:.{digits}f}"


def _figures(*values: float | None) -> tuple[str, ...]:
    return tuple("" if value is None else f"{value:z.4f}" for value in values)
