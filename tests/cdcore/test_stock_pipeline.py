"""Tests of `cdcore.stock_pipeline`."""

from cdcore import stock_pipeline
from cdcore.concepts import diffusers_pipeline


def test_the_import_that_users_write_gives_the_functions_themselves() -> None:
    assert stock_pipeline.apply is diffusers_pipeline.apply
    assert stock_pipeline.remove is diffusers_pipeline.remove
    assert set(stock_pipeline.__all__) == {"apply", "remove"}
