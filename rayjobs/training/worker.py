"""What one Ray Train worker does: prepare, train, and, as the first, finish the run."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ray.train
import ray.train.torch
from torch import distributed as dist
from torch.utils.tensorboard import SummaryWriter

from cdcore.model.base import Base
from cdcore.training.engine import ConceptParameters
from cdcore.training.preparation import prepare
from cdcore.training.trainer import StepMetrics, Trainer, trained_concept
from rayjobs.runs.checkpoints import finish_checkpoint, last_checkpoint, step_of, writing_folder
from rayjobs.runs.verdict import await_verdict
from rayjobs.training.finish import finish_run
from rayjobs.training.task import TrainTask
from rayjobs.training.telemetry import RunMetrics
from rayjobs.training.validation import Validation, flat_scores

if TYPE_CHECKING:
    from rayjobs.training.deepspeed_engine import DeepSpeedEngine

__all__ = ["train_worker"]

_PATIENCE_S = 600.0
"""How long a run waits for a verdict on its score; the other workers wait for it as long."""


def train_worker(loop_config: dict[str, Any]) -> dict[str, Any] | None:
    """Run one worker's share of ``loop_config["task"]``, a `TrainTask`.

    Returns:
        The run's summary from the first worker, None from the others.
    """
    task: TrainTask = loop_config["task"]
    device = ray.train.torch.get_device()
    started = time.monotonic()
    base = task.load_base(device)
    trainer, engine, parameters, first_step = _assemble(task, base)
    prepared = time.monotonic()
    _train(task, trainer, engine, first_step, _scorer(task, base, parameters))
    trained = time.monotonic()
    summary = None
    if dist.get_rank() == 0:
        seconds = {
            "prepare": prepared - started,
            "train": trained - prepared,
            "earlier": _seconds_of_steps(task, first_step),
        }
        concept = trained_concept(base, task.config, parameters)
        task.run.check_claim(task.session)
        summary = finish_run(base, concept, task, seconds)
    if task.scoring is not None:
        _report_end(task, summary)
    return summary


def _seconds_of_steps(task: TrainTask, count: int) -> float:
    """Return how long the first steps took, which earlier starts of the run have done."""
    lines = task.run.read_metrics()
    return float(sum(line["seconds"] for line in lines if line["step"] <= count))


def _scorer(
    task: TrainTask, base: Base, parameters: ConceptParameters
) -> Callable[[int], None] | None:
    """Return what all workers call after each step: where scores are due, the first one scores."""
    plan = task.scoring
    if plan is None:
        return None
    # Whoever goes on with a run has reported these already.
    scored = {line["step"] for line in task.run.read_scores()}
    validation = Validation(base, task) if dist.get_rank() == 0 else None

    def score(step: int) -> None:
        if step in scored or not plan.is_due(step, task.config.steps):
            return
        scores: dict[str, float] = {}
        if validation is not None:
            task.run.check_claim(task.session)
            scores = validation.scores(trained_concept(base, task.config, parameters))
            task.run.append_scores(step, scores)
        # Ray's own wait for the others complains after a while, this one does not.
        dist.barrier()
        ray.train.report({"step": step, **scores})
        if validation is not None and plan.awaits_verdict:
            await_verdict(task.run, step, session=task.session, patience_s=_PATIENCE_S)

    return score


def _report_end(task: TrainTask, summary: dict[str, Any] | None) -> None:
    """Tell Ray what the run has come to; whoever hears of it may end these processes at once."""
    scores: dict[str, float] = {}
    if summary is not None:
        # Whoever was told to end in its last steps has not finished.
        task.run.check_claim(task.session)
        scores = flat_scores(summary["metrics"])
        task.run.append_scores(task.config.steps, scores)
        task.run.write_summary(summary)
    dist.barrier()
    ray.train.report({"step": task.config.steps, **scores})


def _assemble(
    task: TrainTask, base: Base
) -> tuple[Trainer, "DeepSpeedEngine", ConceptParameters, int]:
    # Not at the top: it takes seconds, and the driver imports this module too.
    from rayjobs.training.deepspeed_engine import DeepSpeedEngine

    def on_progress(phase: str, done: int, total: int) -> None:
        task.run.write_phase(phase, done, total)

    needed = (base, task.config, task.pictures, task.cache, on_progress, task.regularization)
    is_first_of_node = ray.train.get_context().get_local_rank() == 0
    if is_first_of_node:
        data = prepare(*needed)
    dist.barrier()
    if not is_first_of_node:
        data = prepare(*needed)
    parameters = ConceptParameters.initial(base, task.config).to(base.device)
    engine = DeepSpeedEngine(parameters, task.config.learning_rate, zero_stage=task.zero_stage)
    first_step = _resume(engine, task)
    return Trainer(base, task.config, data, parameters, engine), engine, parameters, first_step


def _resume(engine: "DeepSpeedEngine", task: TrainTask) -> int:
    """Load the last whole checkpoint, if there is one; all workers load what the first has found.

    Whoever has started these workers, the driver or Ray after a failure: they go on from there.
    """
    found: list[Any] = [None]
    if dist.get_rank() == 0:
        task.run.check_claim(task.session)
        found[0] = last_checkpoint(task.run.checkpoints, task.identity)
    dist.broadcast_object_list(found, src=0)
    checkpoint: Path | None = found[0]
    if checkpoint is None:
        return 0
    engine.load(checkpoint)
    return step_of(checkpoint)


def _train(
    task: TrainTask,
    trainer: Trainer,
    engine: "DeepSpeedEngine",
    first_step: int,
    score: Callable[[int], None] | None = None,
) -> None:
    is_first = dist.get_rank() == 0
    if is_first:
        task.run.truncate_metrics(first_step)
        task.run.write_phase("training", first_step, task.config.steps)
    board = SummaryWriter(str(task.run.path / "tensorboard")) if is_first else None
    monitored = RunMetrics(task.label or task.run.name, task.config.steps)

    def on_step(metrics: StepMetrics) -> None:
        if board is not None:
            task.run.check_claim(task.session)
            task.run.append_metrics(metrics)
            _write_board(board, metrics)
            monitored.publish(metrics)
        if metrics.step % task.checkpoint_every == 0 or metrics.step == task.config.steps:
            _checkpoint(engine, task, metrics)
        if score is not None:
            score(metrics.step)

    trainer.run(first_step, on_step)
    if board is not None:
        board.close()


def _write_board(board: SummaryWriter, metrics: StepMetrics) -> None:
    for name in ("loss", "target_loss", "prior_loss", "seconds"):
        value = getattr(metrics, name)
        if value is not None:
            board.add_scalar(name, value, metrics.step)


def _checkpoint(engine: "DeepSpeedEngine", task: TrainTask, metrics: StepMetrics) -> None:
    """Write a checkpoint straight into the run; every worker must call it.

    Ray is told the last loss and no checkpoint: it takes a report every two seconds, and its own
    list of checkpoints, rewritten in place, would be one more thing that a kill can tear.
    """
    folder = task.run.checkpoints
    writing = writing_folder(folder, session=task.session, step=metrics.step)
    writing.mkdir(parents=True, exist_ok=True)
    engine.save(writing)
    dist.barrier()
    if dist.get_rank() == 0:
        task.run.check_claim(task.session)
        finish_checkpoint(writing, step=metrics.step, identity=task.identity)
    # A run that is scored reports its scores instead.
    if metrics.step == task.config.steps and task.scoring is None:
        dist.barrier()
        ray.train.report({"step": metrics.step, "loss": metrics.loss})
