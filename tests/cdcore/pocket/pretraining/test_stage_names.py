"""Tests of `cdcore.pocket.pretraining.stage_names`."""

from cdcore.pocket.pretraining.stage_names import STAGES
from cdcore.pocket.pretraining.stages import STAGE_CLASSES


def test_every_stage_has_a_class_of_its_own_name_in_order() -> None:
    assert tuple(STAGE_CLASSES) == STAGES
    assert tuple(kind.name for kind in STAGE_CLASSES.values()) == STAGES


def test_what_the_unet_reads_is_trained_before_it() -> None:
    assert STAGES.index("unet") > max(STAGES.index("autoencoder"), STAGES.index("towers"))
