"""Tests of `cdcore.model.location`."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from huggingface_hub import constants

from cdcore.model.location import HALF, base_folder, variant_of
from tests.hub import HubServer, hub_environment, hub_server, lay_out

HUB_ID = "owner/tiny"
ROOT = Path(__file__).resolve().parents[3]
FETCH = """
import sys
from cdcore.model.location import HALF, base_folder, variant_of
print(base_folder(sys.argv[1], with_weights=sys.argv[2] == "True"))
"""
SHARD = "diffusion_pytorch_model-00001-of-00002.safetensors"

# What a repository of Stable Diffusion 1 holds besides the base itself.
OTHERS = (
    "README.md",
    "v1-4.ckpt",
    "safety_checker/model.safetensors",
    "feature_extractor/preprocessor_config.json",
    "unet/diffusion_pytorch_model.bin",
    "unet/diffusion_pytorch_model.fp16.safetensors",
    "unet/diffusion_pytorch_model.non_ema.safetensors",
    "vae/diffusion_flax_model.msgpack",
    "text_encoder/pytorch_model.bin",
    "text_encoder/model.onnx",
)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty hub cache of this process, which is offline."""
    folder = tmp_path / "hub"
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(folder))
    return folder


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with every kind of file; their contents do not matter here."""
    folder = tmp_path_factory.mktemp("repository")
    for name in (*_needed(), *OTHERS):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(name)
    return folder


def _needed() -> tuple[str, ...]:
    return (
        "model_index.json",
        "scheduler/scheduler_config.json",
        "text_encoder/config.json",
        "text_encoder/model.safetensors",
        "tokenizer/merges.txt",
        "tokenizer/tokenizer_config.json",
        "tokenizer/vocab.json",
        "unet/config.json",
        "unet/diffusion_pytorch_model.safetensors",
        "vae/config.json",
        "vae/diffusion_pytorch_model.safetensors",
    )


def _start(
    server: HubServer, cache: Path, hub_id: str = HUB_ID, *, with_weights: bool = True
) -> subprocess.Popen[str]:
    environment = hub_environment(cache, HF_ENDPOINT=server.url, HF_HUB_DISABLE_PROGRESS_BARS="1")
    command = [sys.executable, "-c", FETCH, hub_id, str(with_weights)]
    return subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def _fetch(
    server: HubServer, cache: Path, hub_id: str = HUB_ID, *, with_weights: bool = True
) -> Path:
    process = _start(server, cache, hub_id, with_weights=with_weights)
    printed, complaint = process.communicate(timeout=120)
    assert process.returncode == 0, complaint
    return Path(printed.strip())


def _names(folder: Path) -> list[str]:
    return sorted(
        path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()
    )


def test_a_folder_is_itself(tiny_folder: Path, cache: Path) -> None:
    assert base_folder(str(tiny_folder)) == tiny_folder
    assert not cache.exists()


def test_a_folder_may_have_any_name_that_is_text(tmp_path: Path) -> None:
    for name in ("a b%20#c?", "line\nbreak", "猫" * 85):
        (tmp_path / name).mkdir()
        assert base_folder(str(tmp_path / name)) == tmp_path / name
    (tmp_path / "caf\udce9").mkdir()
    with pytest.raises(FileNotFoundError, match="is not UTF-8"):
        base_folder(str(tmp_path / "caf\udce9"))


def test_a_base_in_the_local_cache_is_used_as_it_is(repository: Path, cache: Path) -> None:
    snapshot = lay_out(repository, cache, HUB_ID)
    before = _names(cache)
    assert base_folder(HUB_ID) == snapshot
    assert _names(cache) == before


PARTS: dict[str, Callable[[Path], object]] = {
    "text_encoder weights": lambda folder: (folder / "text_encoder/model.safetensors").unlink(),
    "unet weights": lambda folder: (folder / "unet/diffusion_pytorch_model.safetensors").unlink(),
    "vae": lambda folder: shutil.rmtree(folder / "vae"),
    "tokenizer": lambda folder: (folder / "tokenizer/merges.txt").unlink(),
    "scheduler": lambda folder: shutil.rmtree(folder / "scheduler"),
    "unet config.json": lambda folder: (folder / "unet/config.json").unlink(),
}


@pytest.mark.parametrize("part_name", PARTS)
def test_a_base_that_is_not_whole_in_the_cache_is_not_used(
    repository: Path, cache: Path, tmp_path: Path, part_name: str
) -> None:
    part = tmp_path / "part"
    shutil.copytree(repository, part, ignore=shutil.ignore_patterns("*.bin", "*.fp16.*"))
    PARTS[part_name](part)
    lay_out(part, cache, HUB_ID)
    with pytest.raises(FileNotFoundError, match=f"has no {part_name}.* HF_HUB_OFFLINE is set"):
        base_folder(HUB_ID)


def test_weights_may_lie_in_shards(repository: Path, cache: Path, tmp_path: Path) -> None:
    sharded = tmp_path / "sharded"
    shutil.copytree(repository, sharded, ignore=shutil.ignore_patterns("*.bin", "*.fp16.*"))
    (sharded / "unet" / "diffusion_pytorch_model.safetensors").rename(sharded / "unet" / SHARD)
    index = sharded / "unet" / "diffusion_pytorch_model.safetensors.index.json"
    second = SHARD.replace("00001-of", "00002-of")
    index.write_text(json.dumps({"weight_map": {"a": SHARD, "b": second}}))
    snapshot = lay_out(sharded, cache, HUB_ID)
    with pytest.raises(FileNotFoundError):
        base_folder(HUB_ID)
    (snapshot / "unet" / second).write_bytes(b"")
    assert base_folder(HUB_ID) == snapshot
    assert variant_of(snapshot, "unet") is None


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"weight_map": 3}', "\xff"])
def test_a_damaged_list_of_shards_lists_nothing(tmp_path: Path, text: str) -> None:
    (tmp_path / "unet").mkdir()
    index = tmp_path / "unet" / "diffusion_pytorch_model.safetensors.index.json"
    index.write_text(text, encoding="latin-1")
    assert variant_of(tmp_path, "unet") is None


@pytest.mark.parametrize("source", ["", "no/such/base/anywhere", "-", "owner/na me"])
def test_what_is_no_hub_id_is_refused(source: str, cache: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no hub id"):
        base_folder(source)
    assert not cache.exists()


def test_only_the_files_of_a_base_are_fetched(repository: Path, tmp_path: Path) -> None:
    cache = tmp_path / "hub"
    with hub_server({HUB_ID: repository}) as server:
        folder = _fetch(server, cache)
        assert sorted(server.fetched) == sorted(_needed())
        assert _names(folder) == sorted(_needed())
        assert _fetch(server, cache) == folder
        assert len(server.fetched) == len(_needed())


def test_words_and_shapes_are_fetched_without_weights_and_the_base_after_them(
    repository: Path, tmp_path: Path
) -> None:
    cache, words = (
        tmp_path / "hub",
        [name for name in _needed() if not name.endswith(".safetensors")],
    )
    with hub_server({HUB_ID: repository}) as server:
        folder = _fetch(server, cache, with_weights=False)
        assert sorted(server.fetched) == sorted(words)
        assert _fetch(server, cache, with_weights=False) == folder
        assert len(server.fetched) == len(words)
        assert _fetch(server, cache) == folder
        assert sorted(server.fetched) == sorted(_needed())


def test_pickled_weights_are_fetched_only_where_there_are_no_others(
    repository: Path, tmp_path: Path
) -> None:
    old = tmp_path / "old"
    shutil.copytree(repository, old)
    (old / "unet" / "diffusion_pytorch_model.safetensors").unlink()
    with hub_server({HUB_ID: old}) as server:
        folder = _fetch(server, tmp_path / "hub")
        fetched = set(server.fetched)
        assert fetched - set(_needed()) == {"unet/diffusion_pytorch_model.bin"}
        assert _fetch(server, tmp_path / "hub") == folder
        assert len(server.fetched) == len(fetched)


def test_workers_of_a_node_fetch_a_base_once(repository: Path, tmp_path: Path) -> None:
    with hub_server({HUB_ID: repository}) as server:
        processes = [_start(server, tmp_path / "hub") for _ in range(3)]
        printed = {process.communicate(timeout=120)[0] for process in processes}
        assert len(printed) == 1
        assert sorted(server.fetched) == sorted(_needed())
        # The others have waited, and then found it in the cache.
        assert server.listed == 1


def test_a_repository_that_is_no_base_is_refused_with_what_it_lacks(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "README.md").write_text("about something else")
    with hub_server({HUB_ID: tmp_path / "other"}) as server:
        process = _start(server, tmp_path / "hub")
        complaint = process.communicate(timeout=120)[1]
        assert process.returncode != 0
        assert "has no tokenizer, scheduler, text_encoder config.json" in complaint
        missing = _start(server, tmp_path / "hub", "owner/nothing")
        assert "nor can it be fetched: " in missing.communicate(timeout=120)[1]


def test_weights_in_half_precision_are_fetched_where_there_are_no_others(
    repository: Path, tmp_path: Path
) -> None:
    halves = tmp_path / "halves"
    ignored = shutil.ignore_patterns("*.bin", "*model.safetensors")
    shutil.copytree(repository, halves, ignore=ignored)
    wanted = [
        "text_encoder/model.fp16.safetensors",
        "unet/diffusion_pytorch_model.fp16.safetensors",
        "vae/diffusion_pytorch_model.fp16.safetensors",
    ]
    for name in wanted:
        (halves / name).write_text(name)
    with hub_server({HUB_ID: halves}) as server:
        folder = _fetch(server, tmp_path / "hub")
        fetched = sorted(server.fetched)
        assert [name for name in fetched if name.endswith(".safetensors")] == wanted
        assert _fetch(server, tmp_path / "hub") == folder
        assert sorted(server.fetched) == fetched
    assert {variant_of(folder, part) for part in ("text_encoder", "unet", "vae")} == {HALF}
    assert variant_of(repository, "unet") is None


def test_what_no_concept_can_be_taught_to_is_refused_before_any_weights(tmp_path: Path) -> None:
    flux = tmp_path / "flux"
    for name, described in {
        "model_index.json": {"_class_name": "FluxPipeline"},
        "transformer/config.json": {"_class_name": "FluxTransformer2DModel"},
        "text_encoder/config.json": {"model_type": "clip_text_model"},
    }.items():
        (flux / name).parent.mkdir(parents=True, exist_ok=True)
        (flux / name).write_text(json.dumps(described))
    (flux / "text_encoder" / "model.safetensors").write_bytes(b"weights")
    with hub_server({HUB_ID: flux}) as server:
        process = _start(server, tmp_path / "hub")
        complaint = process.communicate(timeout=120)[1]
        assert f"base '{HUB_ID}' is a model whose text and picture share one" in complaint
        assert not any(name.endswith(".safetensors") for name in server.fetched)


def test_an_sdxl_needs_its_second_text_encoder(
    repository: Path, cache: Path, tmp_path: Path
) -> None:
    sdxl = tmp_path / "sdxl"
    shutil.copytree(repository, sdxl)
    (sdxl / "unet" / "config.json").write_text(json.dumps({"addition_embed_type": "text_time"}))
    lay_out(sdxl, cache, HUB_ID)
    with pytest.raises(FileNotFoundError, match=r"has no text_encoder_2 config\.json"):
        base_folder(HUB_ID)
