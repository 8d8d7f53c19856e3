import multiprocessing
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch import distributed as dist

from cdcore.model.base import Base
from cdcore.model.loading import load_base
from cdcore.training.engine import ConceptParameters, Engine, LocalEngine
from cdcore.training.trainer import StepMetrics, Trainer
from rayjobs.training.deepspeed_engine import DeepSpeedEngine
from tests.cdcore.training_case import CAT, CHAIR, config, data, parameters

# What DeepSpeed 0.19 uses of torch 2.13, which calls it deprecated.
pytestmark = [
    pytest.mark.filterwarnings(r"ignore:.*all_gather_into_tensor:FutureWarning"),
    pytest.mark.filterwarnings(r"ignore:.*torch\.jit\.script:DeprecationWarning"),
]

STAGES = (0, 1, 2)


@pytest.fixture(scope="module")
def process_group(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A group of this process alone, as Ray Train makes one for a single worker."""
    folder = tmp_path_factory.mktemp("group")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LOCAL_RANK", "0")
        patch.setenv("TORCH_EXTENSIONS_DIR", str(folder / "extensions"))
        dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=0, world_size=1)
        yield folder
        dist.destroy_process_group()


def fresh() -> ConceptParameters:
    generator = torch.Generator().manual_seed(0)
    return ConceptParameters(
        torch.randn(6, 4, generator=generator), torch.randn(1, 4, generator=generator)
    )


def step(driven: ConceptParameters, engine: Engine, number: int) -> None:
    """Take a step whose gradient is clipped at first and no longer later on."""
    generator = torch.Generator().manual_seed(number)
    scale = 10.0**-number
    both = torch.cat([driven.update, driven.tokens])
    aim = torch.randn(both.shape, generator=generator)
    engine.backward(scale * (both - aim).square().sum())
    engine.step()


@pytest.mark.parametrize("stage", STAGES)
def test_it_does_what_the_local_engine_does(process_group: Path, stage: int) -> None:
    ours, theirs = fresh(), fresh()
    local, deepspeed = LocalEngine(ours, 0.1), DeepSpeedEngine(theirs, 0.1, zero_stage=stage)
    for number in range(3):
        step(ours, local, number)
        step(theirs, deepspeed, number)
    torch.testing.assert_close(theirs.update, ours.update, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(theirs.tokens, ours.tokens, rtol=1e-6, atol=1e-6)
    assert not torch.equal(theirs.update, fresh().update)


@pytest.mark.parametrize("stage", STAGES)
def test_what_is_loaded_goes_on_bit_for_bit(
    process_group: Path, tmp_path: Path, stage: int
) -> None:
    whole = fresh()
    engine = DeepSpeedEngine(whole, 0.1, zero_stage=stage)
    for number in range(4):
        if number == 2:
            engine.save(tmp_path)
        step(whole, engine, number)
    resumed = fresh()
    engine = DeepSpeedEngine(resumed, 0.1, zero_stage=stage)
    engine.load(tmp_path)
    for number in (2, 3):
        step(resumed, engine, number)
    assert torch.equal(resumed.update, whole.update)
    assert torch.equal(resumed.tokens, whole.tokens)


def test_nothing_is_compiled(process_group: Path) -> None:
    DeepSpeedEngine(fresh(), 0.1, zero_stage=0)
    assert not (process_group / "extensions").exists()


STEPS = 20


def train(
    base: Base,
    folder: Path,
    stage: int | None,
    *,
    saved: Path | None = None,
    resumes: bool = False,
) -> tuple[Tensor, Tensor, list[StepMetrics]]:
    """Train; with ``saved`` keep the state after half of the steps, or go on from it."""
    settings = config(learning_rate=2e-3, steps=STEPS, subjects=(CAT, CHAIR))
    driven = parameters(base, settings=settings)
    latents = [data(base, folder), data(base, folder, target_seed=5, regularization_seed=6)]
    rate = settings.learning_rate
    deepspeed = None if stage is None else DeepSpeedEngine(driven, rate, zero_stage=stage)
    engine: Engine = deepspeed or LocalEngine(driven, rate)
    metrics: list[StepMetrics] = []

    def note(step: StepMetrics) -> None:
        metrics.append(step)
        if saved is not None and step.step == STEPS // 2 and not resumes:
            assert deepspeed is not None
            deepspeed.save(saved)

    if saved is not None and resumes:
        assert deepspeed is not None
        deepspeed.load(saved)
    Trainer(base, settings, latents, driven, engine).run(STEPS // 2 if resumes else 0, note)
    return driven.update.detach(), driven.tokens.detach(), metrics


def be_a_worker(worker: int, base_name: str, folder: Path) -> None:
    os.environ["LOCAL_RANK"] = str(worker)
    torch.set_num_threads(1)
    meet = f"file://{folder}/meet"
    dist.init_process_group("gloo", init_method=meet, rank=worker, world_size=2)
    base = load_base(base_name)
    own, saved = folder / str(worker), folder / "saved"
    whole = [train(base, own, 0), train(base, own, 2, saved=saved)]
    dist.barrier()
    resumed = train(base, own, 2, saved=saved, resumes=True)
    torch.save((whole, resumed), folder / f"{worker}.pt")
    dist.destroy_process_group()


@pytest.mark.slow
def test_two_processes_train_what_one_does_and_go_on_under_zero_2_bit_for_bit(
    tiny_base: Base, tmp_path: Path
) -> None:
    (tmp_path / "saved").mkdir()
    update, tokens, metrics = train(tiny_base, tmp_path, None)
    spawn = multiprocessing.get_context("spawn")
    workers = [
        spawn.Process(target=be_a_worker, args=(worker, tiny_base.name, tmp_path))
        for worker in range(2)
    ]
    for process in workers:
        process.start()
    for process in workers:
        process.join(500)
    assert [process.exitcode for process in workers] == [0, 0]
    start = parameters(tiny_base, settings=config(subjects=(CAT, CHAIR)))
    changed = float((update - start.update.detach()).norm())
    token_changed = float((tokens - start.tokens.detach()).norm())
    # Five rows of two subjects on two workers: one of the six is padding.
    for worker in range(2):
        whole, resumed = torch.load(tmp_path / f"{worker}.pt", weights_only=False)
        assert torch.equal(resumed[0], whole[1][0])
        assert torch.equal(resumed[1], whole[1][1])
        for theirs in whole:
            # The tolerance that docs/joint.md states.
            assert float((theirs[0] - update).norm()) < 1e-4 * changed
            assert float((theirs[1] - tokens).norm()) < 1e-4 * token_changed
            for one, two in zip(metrics, theirs[2], strict=True):
                assert two.loss == pytest.approx(one.loss, rel=1e-5)
                assert two.target_loss == pytest.approx(one.target_loss, rel=1e-5)
                assert two.prior_loss == pytest.approx(one.prior_loss, rel=1e-5)
