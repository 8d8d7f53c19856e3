import json
from pathlib import Path

import pytest
import torch
from PIL import Image

from cdcore.concepts.storage import load_concept
from cdcore.errors import ConceptFileError, MergeError
from cdcore.evaluation.cell import Cell
from cdcore.evaluation.embeddings import is_done, load_notes, load_rows
from cdcore.evaluation.methods import Method, Part
from cdcore.evaluation.panel import JUDGE, PanelSources, load_panel
from cdcore.merging.concept_files import merge_files
from cdcore.merging.settings import MergeSettings, MixMethod
from cdcore.model.base import Base
from cdcore.pictures.png import SETTINGS_KEY
from cdcore.sampling.pipeline import sample
from cdcore.sampling.request import Request
from rayjobs.config.evaluation import SamplingSettings
from rayjobs.evaluation.worker import CellOrder, CellTask, CellWorker
from tests.cdcore.concept_case import write_concept

SOURCES = PanelSources(clip=JUDGE, dino=JUDGE)
SEEDS = (4, 5)


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("evaluation")


@pytest.fixture(scope="module")
def worker(tiny_base: Base, output: Path) -> CellWorker:
    return CellWorker(
        CellTask(
            base=tiny_base.name,
            sources=SOURCES,
            sampling=SamplingSettings(steps=2, guidance_scale=3.0, sampler="ddpm"),
            merging=MergeSettings(cache=output / "cache", allow_ill_posed=True),
            output=output,
        )
    )


def order(method: Method, *files: Path, part: Part = "prompts", number: int = 0) -> CellOrder:
    is_pair = method not in ("single",) and len(files) != 1
    nouns = ("cat", "wooden pot") if is_pair else ("cat",)
    text = "a {0} next to a {1}" if is_pair else "a {0} in the snow"
    cell = Cell(
        section="pair" if is_pair else "single",
        entry="+".join(nouns).replace(" ", ""),
        method=method,
        part=part,
        number=number,
        nouns=nouns,
        texts=(text,) * 2,
        seeds=SEEDS,
    )
    return CellOrder(cell=cell, files=files, digest=f"{method}-{part}-{number}")


def asked(base: Base, prompt: str, file: Path | None) -> torch.Tensor:
    """What a user would sample by hand."""
    concept = None if file is None else load_concept(file)
    return sample(
        base,
        [
            Request(
                prompt=prompt,
                seed=seed,
                steps=2,
                guidance_scale=3.0,
                sampler="ddim",
                eta=1.0,
                update=None if concept is None else concept.update,
                tokens=None if concept is None else concept.tokens,
            )
            for seed in SEEDS
        ],
    )


def test_a_cell_holds_the_embeddings_of_the_concept_s_own_pictures(
    worker: CellWorker, tiny_base: Base, concept_file: Path, output: Path
) -> None:
    made = order("single", concept_file)
    assert worker.work([made]) == [made.cell.key]
    pixels = asked(tiny_base, "a <mycat> cat in the snow", concept_file)
    panel = load_panel(SOURCES, tiny_base)
    expected = panel.rows(pixels, ["a cat in the snow"] * 2)
    rows = load_rows(made.cell.file(output))
    torch.testing.assert_close(rows.clip, expected.clip, rtol=0, atol=1e-4)
    torch.testing.assert_close(rows.dino, expected.dino, rtol=0, atol=1e-4)
    assert rows.text is not None
    torch.testing.assert_close(rows.text, expected.text)
    assert rows.present is None, "one thing has nobody beside it"
    assert is_done(made.cell.file(output), made.digest)


def test_its_pictures_are_saved_with_the_prompt_in_plain_words(
    worker: CellWorker, concept_file: Path, output: Path
) -> None:
    made = order("single", concept_file, number=7)
    worker.work([made])
    with Image.open(made.cell.picture_file(output, 1)) as image:
        settings = json.loads(image.text[SETTINGS_KEY])  # type: ignore[attr-defined]
        assert image.size == (64, 64)
    assert settings == {"prompt": "a cat in the snow", "method": "single", "seed": 5}


def test_drift_is_asked_of_the_concept_in_plain_words_and_leaves_no_pictures(
    worker: CellWorker, tiny_base: Base, concept_file: Path, output: Path
) -> None:
    made = order("single", concept_file, part="plain", number=8)
    worker.work([made])
    pixels = asked(tiny_base, "a cat in the snow", concept_file)
    expected = load_panel(SOURCES, tiny_base).rows(pixels)
    found = load_rows(made.cell.file(output)).clip
    torch.testing.assert_close(found, expected.clip, rtol=0, atol=1e-4)
    assert not made.cell.picture_file(output, 0).exists()


def test_every_merge_samples_both_concepts_and_the_judge_looks_for_both(
    worker: CellWorker,
    tiny_base: Base,
    concept_file: Path,
    other_concept_file: Path,
    output: Path,
) -> None:
    files = (concept_file, other_concept_file)
    methods: tuple[MixMethod, ...] = ("constrained", "ridge", "sum", "masked")
    orders = [order("base"), *(order(method, *files) for method in methods)]
    assert worker.work(orders) == [one.cell.key for one in orders]
    for method, one in zip(methods, orders[1:], strict=True):
        settings = MergeSettings(method=method, cache=output / "cache", allow_ill_posed=True)
        alone = merge_files([(file, 1.0) for file in files], settings, base=tiny_base)
        assert load_notes(one.cell.file(output)) == alone.report.notes
    assert load_notes(orders[0].cell.file(output)) == ()
    rows = [load_rows(one.cell.file(output)) for one in orders]
    for scored in rows:
        assert scored.present is not None
        assert set(scored.present.tolist()) <= {0.0, 1.0}
    for number, scored in enumerate(rows):
        for other in rows[:number]:
            assert not torch.allclose(scored.clip, other.clip, atol=1e-5), "methods differ"


def test_a_merge_that_would_be_refused_is_sampled_and_says_so(
    worker: CellWorker, tiny_base: Base, tmp_path: Path, output: Path
) -> None:
    """Two concepts that want different things of one target."""
    files = [write_concept(tiny_base, tmp_path, name=f"cat{n}", seed=n) for n in (1, 2)]
    made = order("constrained", *files, number=9)
    worker.work([made])
    settings = MergeSettings(method="constrained", cache=output / "cache")
    with pytest.raises(MergeError) as refused:
        merge_files([(file, 1.0) for file in files], settings, base=tiny_base)
    assert str(refused.value).startswith("ill-posed merge: ")
    assert str(refused.value) in load_notes(made.cell.file(output))


def test_cells_that_are_done_together_are_those_done_apart(
    worker: CellWorker, concept_file: Path, output: Path
) -> None:
    together = [order("single", concept_file, number=n) for n in (20, 21)]
    worker.work(together)
    alone = order("single", concept_file, number=22)
    worker.work([alone])
    rows = [load_rows(one.cell.file(output)).clip for one in (*together, alone)]
    for other in rows[1:]:
        torch.testing.assert_close(other, rows[0], rtol=0, atol=1e-4)


def test_a_file_that_is_no_concept_is_the_user_s_error(worker: CellWorker, tmp_path: Path) -> None:
    with pytest.raises(ConceptFileError):
        worker.work([order("single", tmp_path / "none.safetensors")])
