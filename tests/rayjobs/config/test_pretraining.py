"""Tests of `rayjobs.config.pretraining`."""

from dataclasses import fields

from cdcore.pocket.pretraining.piece import Piece
from cdcore.pocket.pretraining.stage_names import STAGES
from rayjobs.config.pretraining import PretrainJob


def test_the_defaults_are_those_of_a_piece_of_pretraining() -> None:
    job, piece = PretrainJob(), {field.name: field.default for field in fields(Piece)}
    for name in ("stages", "seconds", "steps", "pictures", "seed"):
        assert getattr(job, name) == piece[name]
    assert job.stages == STAGES
