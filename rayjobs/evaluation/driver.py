"""The driver of an evaluation: plan, train what is missing, sample what is not done, report."""

import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console

from cdcore.errors import one_line
from cdcore.evaluation.cell import Cell
from cdcore.evaluation.dataset import read_concept_set
from cdcore.evaluation.embeddings import CellRows, load_rows
from cdcore.evaluation.embeddings import is_done as is_cell_done
from cdcore.evaluation.panel import Panel, PanelSources, load_panel
from cdcore.evaluation.plan import EvaluationPlan, Selection, select
from cdcore.evaluation.scores import EntryScores, entry_scores, method_scores
from cdcore.merging.settings import MergeSettings
from cdcore.model.base import Base
from cdcore.model.loading import load_local_base
from cdcore.model.unread_text import notes_on
from raycluster.connection import connected, silent_errors
from rayjobs.cli.console import plain_console
from rayjobs.cli.progress_bar import bar
from rayjobs.cli.unread_pictures import print_unread
from rayjobs.cluster.actor_pool import results
from rayjobs.cluster.scaling import scaling, tell_if_busy
from rayjobs.cluster.shared_storage import check_shared
from rayjobs.config.evaluation import EvaluateJob, SamplingSettings
from rayjobs.evaluation.concept_training import (
    ConceptTrainer,
    ConceptTraining,
    TrainerTask,
    training_for,
)
from rayjobs.evaluation.orders import Names, cell_orders, check_nouns, needed_concepts
from rayjobs.evaluation.references import reference_rows
from rayjobs.evaluation.report import noted, print_table, save_grids, save_prompts, save_tables
from rayjobs.evaluation.worker import CellOrder, CellTask, CellWorker
from rayjobs.runs.result_paths import absolute, base_name, result_folder
from rayjobs.runs.run_directory import RunDirectory

__all__ = ["evaluate"]

_PICTURES_AT_ONCE = 32
"""The pictures of a worker's batch."""
_FILE_COLUMNS = 150
"""Width of the table where there is no terminal to fold it."""
_PLAIN_LINE_S = 10.0
"""Seconds between lines where there is no terminal."""


def evaluate(job: EvaluateJob) -> dict[str, Any]:
    """Run an evaluation to its end; what an earlier run of it has done is not done again.

    Returns:
        The methods' figures and the files written.

    Raises:
        CustomDiffusionError: Something that the user can mend.
        OSError: A folder cannot be written.
        KeyboardInterrupt: The user, or a signal, has ended it; the same command goes on from there.
    """
    console = plain_console(soft_wrap=True, file_width=_FILE_COLUMNS)
    whole = read_concept_set(absolute(job.dataset))
    for note in whole.notes:
        console.print(f"note: {one_line(note)}")
    selection = select(
        whole, sections=job.sections, limit=job.chosen_limit, prompts=job.chosen_prompts
    )
    print_unread((concept.images for concept in selection.concepts), console)
    plan = job.plan()
    base = load_local_base(base_name(job.base))
    sources = PanelSources.of_base(base, job.clip, job.dino)
    run = _Run(
        job=job,
        console=console,
        selection=selection,
        plan=plan,
        base=base,
        sources=sources,
        panel=load_panel(sources, base),
        sampling=job.sampling(base),
        output=result_folder(job.output, "--output"),
        cache=result_folder(job.cache, "--cache"),
    )
    run.cache.mkdir(parents=True, exist_ok=True)
    with RunDirectory(run.output).locked(), run.cluster:
        return run.to_the_end()


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Run:
    """One evaluation.

    Attributes:
        job: The job as the user wrote it.
        console: Is told what happens.
        selection: The part of the set that is evaluated.
        plan: How much of it is sampled.
        base: The base in this process, for what is not worth a worker.
        sources: The embedders that score.
        panel: The embedders in this process.
        sampling: The resolved sampling settings.
        output: The absolute folder of the evaluation.
        cache: The absolute folder of the caches.
        cluster: Holds the connection, which is made when there is work for it.
    """

    job: EvaluateJob
    console: Console
    selection: Selection
    plan: EvaluationPlan
    base: Base
    sources: PanelSources
    panel: Panel
    sampling: SamplingSettings
    output: Path
    cache: Path
    cluster: ExitStack = field(default_factory=ExitStack)

    def to_the_end(self) -> dict[str, Any]:
        files = self._taught()
        orders = self._orders(files)
        self._tell_unread([order.cell for order in orders])
        pending = [order for order in orders if not self._is_done(order)]
        pictures = sum(len(order.cell.seeds) for order in pending)
        self.console.print(
            f"{len(orders)} cells, {len(orders) - len(pending)} of them done; {pictures} pictures "
            f"to sample with {self.sampling.steps} steps of {self.sampling.sampler}"
        )
        references = self._references()
        started = time.monotonic()
        if pending:
            self._sample(pending)
        seconds = time.monotonic() - started
        return self._report([order.cell for order in orders], references, seconds)

    def _taught(self) -> dict[Names, Path]:
        """Return the concept files by the names of what they teach, training those not there."""
        files: dict[Names, Path] = {}
        untrained: list[ConceptTraining] = []
        for names, concepts in needed_concepts(self.selection, self.plan.methods).items():
            files[names], training = training_for(self.job, self.base, concepts, self.output)
            if training is None:
                check_nouns(files[names], concepts)
            else:
                untrained.append(training)
        if untrained:
            task = TrainerTask(base=self.base.name, cache=self.cache)
            steps = sum(training.config.steps for training in untrained)
            self.console.print(f"training {len(untrained)} concepts, {steps} steps in all")
            lines = self._pooled(untrained, ConceptTrainer, task)
            self._follow("training", "concepts", len(untrained), lines)
        return files

    def _orders(self, files: Mapping[Names, Path]) -> list[CellOrder]:
        settings = {
            "base": self.base.fingerprint,
            "sampling": asdict(self.sampling),
            "embedders": asdict(self.sources),
        }
        return cell_orders(
            self.plan, self.selection, files, settings=settings, penalty=self.job.penalty
        )

    def _tell_unread(self, cells: Sequence[Cell]) -> None:
        """Say which prompts and captions the base does not read to their end."""
        entries = {entry.name: entry for entry in (*self.selection.singles, *self.selection.pairs)}
        texts: dict[str, None] = {}
        for cell in cells:
            taught = [f"{one.token} {one.class_noun}" for one in entries[cell.entry].concepts]
            texts |= dict.fromkeys(cell.prompts(taught))
        for note in notes_on([self.base.text_encoder.unread(text) for text in texts]):
            self.console.print(f"note: {note}")

    def _is_done(self, order: CellOrder) -> bool:
        return is_cell_done(order.cell.file(self.output), order.digest)

    def _sample(self, pending: Sequence[CellOrder]) -> None:
        task = CellTask(
            base=self.base.name,
            sources=self.sources,
            sampling=self.sampling,
            merging=MergeSettings(
                penalty=self.job.penalty,
                cache=self.cache,
                # What a merge loses is what is to be measured.
                allow_ill_posed=True,
            ),
            output=self.output,
        )
        at_once = max(1, _PICTURES_AT_ONCE // self.plan.pictures)
        lines = self._pooled(pending, CellWorker, task, at_once)
        self._follow("sampling", "cells", len(pending), lines)

    def _pooled(
        self, items: Sequence[Any], kind: type[Any], task: Any, at_once: int = 1
    ) -> Iterator[str]:
        import ray

        is_new = not ray.is_initialized()
        if is_new:
            # Ray's C++ part would advise against actors that can be started again, which these are;
            # that it will be quiet it says first.
            os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
            with silent_errors():
                self.cluster.enter_context(connected())
        resources = scaling(
            self.job.workers, self.console, gpus=self.job.gpus, is_small=self.base.is_pocket
        )
        if is_new:
            tell_if_busy(self.console, resources)
            check_shared(self.output, kind="GPU" if resources.use_gpu else "CPU")
        return results(items, kind, task, scaling=resources, at_once=at_once)

    def _follow(self, title: str, unit: str, total: int, lines: Iterator[str]) -> None:
        told = time.monotonic()
        with bar(title, unit) as advance:
            advance(0, total)
            for done, line in enumerate(lines, start=1):
                advance(done, total)
                is_due = done == total or time.monotonic() - told > _PLAIN_LINE_S
                if is_due and not sys.stderr.isatty():
                    self.console.print(f"{title} {done}/{total} {unit}, last {line}")
                    told = time.monotonic()

    def _references(self) -> dict[tuple[str, str], CellRows]:
        """Embed what pictures are compared with: targets, and real pictures of each class."""
        folders = {("target", concept.name): concept.images for concept in self.selection.concepts}
        for entry in self.selection.singles if self.plan.kid_pictures else ():
            (concept,) = entry.concepts
            if concept.real_pictures is not None:
                folders["real", concept.name] = concept.real_pictures
        return reference_rows(folders, self.panel, self.sources, self.output)

    def _report(
        self,
        cells: Sequence[Cell],
        references: Mapping[tuple[str, str], CellRows],
        seconds: float,
    ) -> dict[str, Any]:
        entries = self._scores(cells, references)
        methods = method_scores(entries)
        protocol = self.job.protocol(self.sampling)
        notes = noted(self.output, cells)
        saved = save_tables(self.output, entries, methods, protocol, self._made_with(), notes)
        save_prompts(self.output, cells)
        saved += save_grids(self.output, (self.selection.singles, self.selection.pairs), cells)
        print_table(self.console, methods, notes)
        for path in saved:
            self.console.print(one_line(path))
        return {
            "methods": [one.figures for one in methods],
            "files": [str(path) for path in saved],
            "seconds": seconds,
        }

    def _scores(
        self, cells: Sequence[Cell], references: Mapping[tuple[str, str], CellRows]
    ) -> list[EntryScores]:
        scores = []
        for entry in (*self.selection.singles, *self.selection.pairs):
            names = [concept.name for concept in entry.concepts]
            own = [
                cell for cell in cells if (cell.section, cell.entry) == (entry.section, entry.name)
            ]
            rows = {cell: load_rows(cell.file(self.output)) for cell in own}
            base = {cell: part for cell, part in rows.items() if cell.method == "base"}
            for method in dict.fromkeys(cell.method for cell in own):
                scores.append(
                    entry_scores(
                        {cell: part for cell, part in rows.items() if cell.method == method},
                        base,
                        [references["target", name] for name in names],
                        references.get(("real", names[0])) if entry.section == "single" else None,
                    )
                )
        # Methods in the order of the sections, whatever entries lack.
        return sorted(scores, key=lambda one: one.section != "single")

    def _made_with(self) -> dict[str, str]:
        sampling, selection = self.sampling, self.selection
        described = {
            "base": f"{one_line(self.base.name)} ({self.base.fingerprint[:12]})",
            "data": f"{one_line(self.job.dataset.name)}: {len(selection.singles)} concepts, "
            f"{len(selection.pairs)} pairs, {self.plan.pictures} pictures of a prompt",
            "sampling": f"{sampling.steps} steps of {sampling.sampler}, guidance "
            f"{sampling.guidance_scale}, seed {self.plan.seed}",
            "CLIP column": self.sources.clip,
            "DINO column": self.sources.dino,
        }
        if self.plan.kid_pictures:
            described["KID"] = (
                f"{self.plan.kid_pictures} pictures of captions, features of the CLIP column"
            )
        return described
