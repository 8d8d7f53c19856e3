"""Tests of `cdcore.merging.settings`."""

from pathlib import Path

from cdcore.merging.caption_bank import read_captions, written_captions
from cdcore.merging.settings import MergeSettings


def test_captions_are_the_users_or_those_of_the_base(tmp_path: Path) -> None:
    file = tmp_path / "captions.txt"
    file.write_text("\n".join("abcdefgh"))
    own = MergeSettings(cache=tmp_path, captions=file)
    written = MergeSettings(cache=tmp_path)
    for pocket in (False, True):
        assert own.bank(pocket=pocket) == read_captions(file)
        assert written.bank(pocket=pocket) == written_captions(pocket=pocket)
