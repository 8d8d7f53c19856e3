"""Tests of `serve.api_keys`."""

import json
from pathlib import Path

import pytest

from cdcore.errors import ConfigError
from serve import api_keys
from serve.api_keys import ApiKeys, hash_of, main


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keys.json"


def made(path: Path, capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    main(["--file", str(path), *arguments])
    return capsys.readouterr().out.strip()


def test_a_key_stands_for_its_owner_and_is_kept_nowhere(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    alice = made(path, capsys, "--owner", "alice", "--row-steps-per-minute", "100")
    root = made(path, capsys, "--owner", "root", "--admin")
    keys = ApiKeys(path)
    for key, owner, is_admin, limit in ((alice, "alice", False, 100), (root, "root", True, None)):
        caller = keys.caller(key)
        assert caller is not None
        assert (caller.owner, caller.is_admin) == (owner, is_admin)
        assert caller.row_steps_per_minute == limit
        assert key not in path.read_text()
    assert path.stat().st_mode & 0o777 == 0o600
    for wrong in ("", alice[:-1], hash_of(alice), "ключ"):
        assert keys.caller(wrong) is None


def test_a_key_that_is_taken_out_is_refused(
    path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api_keys, "_LOOK_S", -1)
    key = made(path, capsys, "--owner", "alice")
    keys = ApiKeys(path)
    assert keys.caller(key) is not None
    text = path.read_text()
    path.write_text('{"keys": []}')
    assert keys.caller(key) is None
    path.write_text(text)
    assert keys.caller(key) is not None
    path.write_text("no longer JSON")
    assert keys.caller(key) is None


def test_broken_files_are_named(path: Path) -> None:
    with pytest.raises(ConfigError, match=r"keys\.json: not a file of API keys"):
        ApiKeys(path)
    path.write_text(json.dumps({"keys": [{"sha256": "12", "owner": "alice"}]}))
    with pytest.raises(ConfigError, match="sha256"):
        ApiKeys(path)
    with pytest.raises(ConfigError, match="sha256"):
        main(["--file", str(path), "--owner", "alice"])
    path.unlink()
    with pytest.raises(ConfigError, match="owner"):
        main(["--file", str(path), "--owner", "../alice"])
    assert not path.exists()
