from dataclasses import replace

import pyarrow as pa
import pytest
import torch

from cdcore.errors import BaseModelError
from cdcore.training.latent_cache import LatentCache, build_latent_cache
from cdcore.training.latent_file import (
    SCHEMA_VERSION,
    UnusableCacheError,
    map_latent_file,
    write_latent_file,
)
from tests.cdcore.training.latent_case import SHAPE, holds, rows_of


def test_a_row_of_another_shape_is_refused_and_leaves_nothing_behind(tmp_path):
    rows = [*rows_of(70), *rows_of(1, shape=(4, 3, 6))]
    with pytest.raises(ValueError, match="row has shapes"):
        write_latent_file(tmp_path / "a.arrow", rows, SHAPE)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), 1e6])
def test_a_posterior_that_is_not_finite_names_its_picture(tmp_path, bad):
    rows = rows_of(10)
    rows[7].mean[0, 0, 0] = bad
    with pytest.raises(BaseModelError, match=r"picture number 2 .*float32"):
        write_latent_file(tmp_path / "a.arrow", rows, SHAPE)


def test_an_interrupted_build_keeps_the_former_file(tmp_path):
    path = tmp_path / "a.arrow"
    write_latent_file(path, rows_of(5), SHAPE)

    def interrupted():
        yield from rows_of(100, seed=1)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_latent_file(path, interrupted(), SHAPE)
    assert holds(LatentCache(path), rows_of(5))
    assert list(tmp_path.iterdir()) == [path]


def test_any_mask_of_noughts_and_ones_and_any_posterior_will_do(tmp_path):
    rows = [
        replace(row, mean=row.mean.requires_grad_(), valid_mask=row.valid_mask.to(dtype))
        for row, dtype in zip(rows_of(3), (torch.bool, torch.float32, torch.int64), strict=True)
    ]
    assert holds(build_latent_cache(tmp_path / "a.arrow", rows, SHAPE), rows)


def test_a_file_names_its_schema_so_that_older_versions_can_refuse_it(tmp_path):
    write_latent_file(tmp_path / "a.arrow", rows_of(2), SHAPE)
    metadata = pa.ipc.open_file(str(tmp_path / "a.arrow")).schema.metadata
    assert metadata[b"schema_version"] == str(SCHEMA_VERSION).encode()


def test_a_file_with_other_columns_is_no_cache_of_its_shape(tmp_path):
    path = tmp_path / "a.arrow"
    write_latent_file(path, rows_of(2), SHAPE)
    table = pa.ipc.open_file(str(path)).read_all()
    fewer = table.drop_columns(["std"])
    with pa.ipc.new_file(str(tmp_path / "b.arrow"), fewer.schema) as writer:
        writer.write_table(fewer)
    with pytest.raises(UnusableCacheError, match="columns differ"):
        map_latent_file(tmp_path / "b.arrow")


def test_a_text_that_points_out_of_the_file_is_damage(tmp_path):
    path = tmp_path / "a.arrow"
    rows = [replace(row, prefix="prefix!") for row in rows_of(3)]
    write_latent_file(path, rows, SHAPE)
    offsets = b"".join(number.to_bytes(4, "little") for number in (0, 7, 14, 21))
    whole = path.read_bytes()
    assert whole.count(offsets) == 1
    path.write_bytes(whole.replace(offsets, offsets[:12] + (2**30).to_bytes(4, "little")))
    with pytest.raises(UnusableCacheError):
        map_latent_file(path)
