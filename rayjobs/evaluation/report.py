"""What an evaluation leaves to be read: tables, figures for programs, grids of pictures."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from PIL import Image
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from cdcore.errors import one_line
from cdcore.evaluation.cell import Cell
from cdcore.evaluation.dataset import SetEntry
from cdcore.evaluation.embeddings import load_notes
from cdcore.evaluation.methods import Method, Section
from cdcore.evaluation.published_results import Protocol, published
from cdcore.evaluation.scores import EntryScores, MethodScores
from cdcore.evaluation.table import HEADER, NAMES, markdown, table_rows
from cdcore.files import write_text
from cdcore.pictures.grid import grid
from cdcore.pictures.picture_folder import read_pictures
from cdcore.pictures.png import save_picture

__all__ = ["noted", "print_table", "save_grids", "save_prompts", "save_tables"]

_MOST_ROWS = 12
"""Entries of a grid."""
_NOTES_SHOWN = 10
"""Notes on merges that are printed; the page has all."""


def noted(output: Path, cells: Sequence[Cell]) -> list[str]:
    """Return a line for each note on a merge that some cell was sampled with.

    Args:
        output: Folder of the evaluation.
        cells: All that were sampled.

    Raises:
        OSError: A cell has no result.
    """
    lines = (
        f"{cell.entry} by {cell.method}: {note}"
        for cell in cells
        for note in load_notes(cell.file(output))
    )
    return list(dict.fromkeys(lines))


def save_tables(
    output: Path,
    entries: Sequence[EntryScores],
    methods: Sequence[MethodScores],
    protocol: Protocol,
    made_with: Mapping[str, str],
    notes: Sequence[str] = (),
) -> list[Path]:
    """Write ``evaluation.md`` for people and ``evaluation.json`` for programs.

    Args:
        output: Folder of the evaluation.
        entries: Figures of every entry.
        methods: Their means.
        protocol: Which published table stands beside them.
        made_with: What the figures were made with.
        notes: What merges lost, as `noted` returns it.

    Raises:
        OSError: A file cannot be written.
    """
    page, figures = output / "evaluation.md", output / "evaluation.json"
    lines = [f"{name}: {text}" for name, text in made_with.items()]
    lines += [f"note: {note}" for note in notes]
    write_text(page, markdown(methods, protocol, lines))
    described: dict[str, Any] = {
        "made_with": dict(made_with),
        "notes": list(notes),
        "methods": [one.figures for one in methods],
        "entries": [asdict(one) for one in entries],
        "published": [asdict(line) for line in published(protocol)],
    }
    write_text(figures, json.dumps(described, indent=2) + "\n")
    return [page, figures]


def save_prompts(output: Path, cells: Sequence[Cell]) -> None:
    """Write ``prompts.json`` beside each folder of samples: file stem to prompt in plain words.

    The original evaluation script reads such folders.

    Raises:
        OSError: A file cannot be written.
    """
    folders: dict[Path, dict[str, str]] = {}
    for cell in cells:
        if cell.part == "prompts":
            for index, text in enumerate(cell.plain_texts):
                file = cell.picture_file(output, index)
                folders.setdefault(file.parent.parent, {})[file.stem] = text
    for folder, prompts in folders.items():
        write_text(folder / "prompts.json", json.dumps(prompts, indent=1) + "\n")


def save_grids(
    output: Path,
    sections: Sequence[Sequence[SetEntry]],
    cells: Sequence[Cell],
) -> list[Path]:
    """Write a grid for each section: a row for each entry, its targets, then each method.

    Rows go through the prompts of their entries, so that a grid shows more than one.

    Args:
        output: Folder of the evaluation.
        sections: The entries of each section; the first twelve are shown.
        cells: All that were sampled.

    Raises:
        OSError: A grid cannot be written.
    """
    saved = []
    for entries in filter(None, sections):
        section = entries[0].section
        own = [cell for cell in cells if cell.section == section and cell.part == "prompts"]
        methods = tuple(dict.fromkeys(cell.method for cell in own))
        rows, labels = [], []
        for number, entry in enumerate(entries[:_MOST_ROWS]):
            shown = number % len(entry.prompts)
            of_entry = {cell.method: cell for cell in own if _is(cell, entry.name, shown)}
            sampled = [_opened(of_entry[method].picture_file(output, 0)) for method in methods]
            side = max(sampled[0].size)
            rows.append([_target(concept.images, side) for concept in entry.concepts] + sampled)
            labels.append(
                f"{entry.name.replace('+', ' + ')}\n{next(iter(of_entry.values())).plain_texts[0]}"
            )
        path = output / f"grid-{section}.png"
        drawn = grid(rows, columns=_headers(section, methods), labels=labels)
        save_picture(path, drawn, {"section": section, "methods": methods})
        saved.append(path)
    return saved


def _is(cell: Cell, entry: str, number: int) -> bool:
    return (cell.entry, cell.number) == (entry, number)


def _headers(section: Section, methods: Sequence[Method]) -> list[str]:
    targets = ["target"] if section == "single" else ["first target", "second target"]
    return [*targets, *(NAMES[method] for method in methods)]


def _opened(path: Path) -> Image.Image:
    with Image.open(path) as image:
        return image.convert("RGB")


def _target(folder: Path, side: int) -> Image.Image:
    """Return the middle square of the first picture of a folder."""
    image = read_pictures(folder)[0].image
    short = min(image.size)
    left, top = ((length - short) // 2 for length in image.size)
    square = image.crop((left, top, left + short, top + short))
    return square.resize((side, side), Image.Resampling.LANCZOS)


def print_table(
    console: Console, methods: Sequence[MethodScores], notes: Sequence[str] = ()
) -> None:
    """Show the measured lines, and what merges lost; the published lines stand in the page."""
    table = Table(*HEADER, box=SIMPLE)
    for row in table_rows(methods):
        table.add_row(*row)
    console.print(table, soft_wrap=False)
    for note in notes[:_NOTES_SHOWN]:
        console.print(f"note: {one_line(note)}", soft_wrap=True, markup=False, emoji=False)
    more = len(notes) - _NOTES_SHOWN
    if more > 0:
        console.print(f"note: {more} more such notes are in evaluation.md", soft_wrap=True)
