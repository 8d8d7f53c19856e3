"""What sampled pictures are compared with: embeddings of target pictures and of real ones.

They are made by the driver, once for each folder, and kept beside the cells.
"""

import hashlib
from collections.abc import Hashable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TypeVar

from cdcore.evaluation.embeddings import CellRows, is_done, load_rows
from cdcore.evaluation.panel import Panel, PanelSources
from cdcore.pictures.picture_folder import read_pictures
from rayjobs.cli.progress_bar import bar

__all__ = ["reference_rows"]

Key = TypeVar("Key", bound=Hashable)


def reference_rows(
    folders: Mapping[Key, Path], panel: Panel, sources: PanelSources, output: Path
) -> dict[Key, CellRows]:
    """Embed the pictures of folders, or read what an earlier run has made of the same ones.

    Args:
        folders: The folders by any key; a folder may come more than once.
        panel: The embedders.
        sources: Where the panel comes from.
        output: Folder of the evaluation.

    Raises:
        PictureError: A picture cannot be used.
        OSError: The folder cannot be written.
    """
    rows: dict[Path, CellRows] = {}
    with bar("embedding", "folders of pictures") as advance:
        for done, folder in enumerate(folders.values(), start=1):
            if folder not in rows:
                rows[folder] = _embedded(folder, panel, sources, output)
            advance(done, len(folders))
    return {key: rows[folder] for key, folder in folders.items()}


def _embedded(folder: Path, panel: Panel, sources: PanelSources, output: Path) -> CellRows:
    pictures = read_pictures(folder)
    described = [*(picture.digest for picture in pictures), *asdict(sources).values()]
    digest = hashlib.sha256("\n".join(described).encode()).hexdigest()
    file = output / "references" / f"{digest[:32]}.safetensors"
    if not is_done(file, digest):
        panel.picture_rows(pictures).save(file, digest)
    return load_rows(file)
