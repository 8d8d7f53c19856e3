from pathlib import Path

from cdcore.formats.exports.folder import USE_FILE, clear_export, listed


def _folder(path: Path, *files: str, lines: str = "") -> Path:
    for file in files:
        (path / file).parent.mkdir(parents=True, exist_ok=True)
        (path / file).touch()
    (path / USE_FILE).write_text("\n".join([*map(listed, files), lines]))
    return path


def test_all_that_is_listed_goes_with_the_folders_that_held_it(tmp_path: Path) -> None:
    folder = _folder(tmp_path / "peft", "adapter_config.json", "models/loras/a.safetensors")
    clear_export(folder)
    assert not folder.exists()
    clear_export(folder)


def test_what_is_not_of_the_export_stays(tmp_path: Path) -> None:
    folder = _folder(tmp_path / "comfyui", "models/loras/mine.safetensors")
    others = [folder / "models" / "loras" / "other.safetensors", folder / "notes.md"]
    for path in others:
        path.touch()
    clear_export(folder)
    assert sorted(path for path in folder.rglob("*") if path.is_file()) == sorted(others)
    clear_export(folder)
    assert all(path.exists() for path in others)


def test_a_list_that_leads_elsewhere_is_not_followed(tmp_path: Path) -> None:
    outside, inside = tmp_path / "outside.safetensors", tmp_path / "here" / "script.py"
    outside.touch()
    inside.parent.mkdir()
    inside.touch()
    names = ["../outside.safetensors", str(outside), "script.py", "none.safetensors", "in\0.json"]
    clear_export(_folder(tmp_path / "here", lines="\n".join(map(listed, names))))
    assert outside.exists()
    assert inside.exists()
