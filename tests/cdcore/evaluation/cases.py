"""A cell of an evaluation, for tests."""

from cdcore.evaluation.cell import Cell

CELL = Cell(
    section="pair",
    entry="pot+cat",
    method="ridge",
    part="prompts",
    number=3,
    nouns=("wooden pot", "cat"),
    texts=("a {1} in a {0}",) * 2,
    seeds=(6, 7),
)
