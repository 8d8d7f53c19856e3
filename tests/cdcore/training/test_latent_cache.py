import multiprocessing
import time
from pathlib import Path

import pyarrow as pa
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cdcore.errors import RunError
from cdcore.training.latent_cache import LatentCache, build_latent_cache, cache_key, open_or_build
from cdcore.training.latent_file import SCHEMA_VERSION, UnusableCacheError
from tests.cdcore.training.latent_case import SHAPE, holds, rows_of

KEY = "k" * 64


def build_slowly(folder, barrier):
    """One of two processes; the barrier makes both find the file missing."""

    def slow_rows():
        barrier.wait(timeout=60)
        for row in rows_of(70):
            time.sleep(0.002)
            yield row

    cache = open_or_build(Path(folder), KEY, slow_rows, SHAPE)
    if not holds(cache, rows_of(70)):
        raise SystemExit(3)


@pytest.mark.parametrize("count", [0, 1, 63, 64, 65, 150])
def test_what_was_built_is_read_back_in_float16(tmp_path, count):
    rows = rows_of(count)
    cache = build_latent_cache(tmp_path / "a.arrow", iter(rows), SHAPE)
    assert holds(cache, rows)
    assert holds(LatentCache(tmp_path / "a.arrow"), rows)
    assert cache.shape == SHAPE
    assert cache.prefixes == tuple(row.prefix for row in rows)
    assert cache.pictures == tuple(row.picture for row in rows)


@given(st.lists(st.integers(-130, 129), max_size=12))
@settings(max_examples=40)
def test_gathering_is_stacking_single_rows(built, indices):
    gathered = built.gather(indices)
    count = len(indices)
    assert gathered.mean.shape == gathered.std.shape == (count, *SHAPE)
    assert gathered.valid_mask.shape == (count, 1, *SHAPE[1:])
    tensors = (gathered.mean, gathered.std, gathered.valid_mask)
    assert {tensor.dtype for tensor in tensors} == {torch.float32}
    for slot, index in enumerate(indices):
        assert torch.equal(gathered.mean[slot], built[index].mean)
        assert torch.equal(gathered.std[slot], built[index].std)
        assert torch.equal(gathered.valid_mask[slot, 0], built[index].valid_mask)
        assert gathered.prefixes[slot] == built[index].prefix
        assert gathered.pictures[slot] == built[index].picture


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    path = tmp_path_factory.mktemp("cache") / "a.arrow"
    return build_latent_cache(path, rows_of(130), SHAPE)


def test_gathered_rows_may_be_changed_without_changing_the_cache(built):
    before = built[3].mean.clone()
    built.gather([3]).mean.zero_()
    assert torch.equal(built[3].mean, before)


@pytest.mark.parametrize("index", [130, -131])
def test_a_row_that_does_not_exist_is_refused(built, index):
    with pytest.raises(IndexError):
        built[index]


def test_opening_copies_no_latents(built):
    before = pa.total_allocated_bytes()
    cache = LatentCache(built.path)
    assert len(cache) == 130
    assert pa.total_allocated_bytes() - before < built.path.stat().st_size / 10


def test_sampling_is_mean_plus_std_times_noise_scaled(built):
    rows = built.gather([5, 0, 5])
    noise = torch.randn(3, *SHAPE, generator=torch.Generator().manual_seed(1))
    assert torch.equal(rows.sample(noise, 0.5), 0.5 * (rows.mean + rows.std * noise))
    assert torch.equal(rows.sample(torch.zeros_like(noise), 1.0), rows.mean)


def test_a_missing_cache_is_built_once_and_then_opened(tmp_path):
    calls = []

    def factory():
        calls.append(1)
        return rows_of(9)

    folder = tmp_path / "deep" / "cache"
    for _ in range(3):
        assert holds(open_or_build(folder, KEY, factory, SHAPE), rows_of(9))
    assert len(calls) == 1
    assert [path.name for path in folder.iterdir()] == [f"{KEY}.arrow"]


@pytest.mark.parametrize("kept", [0.0, 0.01, 0.3, 0.7, 0.999])
def test_a_torn_cache_is_reported_and_built_again(tmp_path, kept):
    path = tmp_path / f"{KEY}.arrow"
    build_latent_cache(path, rows_of(100), SHAPE)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(kept * len(whole))])
    with pytest.raises(UnusableCacheError, match="not a whole latent cache"):
        LatentCache(path)
    assert holds(open_or_build(tmp_path, KEY, lambda: rows_of(100), SHAPE), rows_of(100))


def foreign_arrow(path):
    table = pa.table({"picture": [1, 2]})
    with pa.ipc.new_file(str(path), table.schema) as writer:
        writer.write_table(table)


@pytest.mark.parametrize(
    "write", [foreign_arrow, lambda path: path.write_text("hello"), lambda path: path.touch()]
)
def test_a_foreign_file_is_reported_and_replaced(tmp_path, write):
    path = tmp_path / f"{KEY}.arrow"
    write(path)
    with pytest.raises(UnusableCacheError, match="not a whole latent cache"):
        LatentCache(path)
    assert holds(open_or_build(tmp_path, KEY, lambda: rows_of(4), SHAPE), rows_of(4))


def test_a_missing_file_is_reported(tmp_path):
    with pytest.raises(UnusableCacheError, match=r"a\.arrow"):
        LatentCache(tmp_path / "a.arrow")


def test_a_cache_of_another_shape_is_built_again(tmp_path):
    open_or_build(tmp_path, KEY, lambda: rows_of(4, shape=(4, 2, 2)), (4, 2, 2))
    assert holds(open_or_build(tmp_path, KEY, lambda: rows_of(4), SHAPE), rows_of(4))


def test_a_newer_schema_is_refused_and_not_overwritten(tmp_path):
    path = tmp_path / f"{KEY}.arrow"
    schema = pa.schema(
        [("anything", pa.int64())], metadata={"schema_version": str(SCHEMA_VERSION + 1)}
    )
    with pa.ipc.new_file(str(path), schema):
        pass
    before = path.read_bytes()
    with pytest.raises(RunError, match=f"schema {SCHEMA_VERSION + 1}.*update") as caught:
        open_or_build(tmp_path, KEY, lambda: rows_of(4), SHAPE)
    assert not isinstance(caught.value, UnusableCacheError)
    assert path.read_bytes() == before


def test_an_open_cache_survives_its_replacement(tmp_path):
    path = tmp_path / "a.arrow"
    old = build_latent_cache(path, rows_of(20), SHAPE)
    build_latent_cache(path, rows_of(3, seed=9), SHAPE)
    assert holds(old, rows_of(20))


def test_two_processes_that_build_the_same_key_both_end_with_a_whole_file(tmp_path):
    spawn = multiprocessing.get_context("spawn")
    barrier = spawn.Barrier(2)
    workers = [spawn.Process(target=build_slowly, args=(str(tmp_path), barrier)) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(timeout=120)
    assert [worker.exitcode for worker in workers] == [0, 0]
    assert holds(LatentCache(tmp_path / f"{KEY}.arrow"), rows_of(70))
    assert len(list(tmp_path.iterdir())) == 1


def test_a_key_names_its_content():
    parts = {"digests": ["a", "b"], "vae": "f", "resolution": 512, "seed": 0}
    key = cache_key(**parts)
    assert len(key) == 64
    assert key == cache_key(**dict(reversed(parts.items())))
    assert key == cache_key(**{**parts, "digests": ("a", "b")})
    changes = ({"digests": ["b", "a"]}, {"vae": "g"}, {"resolution": 256}, {"seed": 1}, {"more": 1})
    keys = {cache_key(**{**parts, **change}) for change in changes}
    assert len(keys | {key}) == len(changes) + 1


@pytest.mark.parametrize(("part", "error"), [(b"raw", TypeError), (float("nan"), ValueError)])
def test_a_key_refuses_what_json_cannot_hold(part, error):
    with pytest.raises(error):
        cache_key(part=part)
