"""Tests of `serve.settings`."""

import os
from pathlib import Path

import pytest
from pydantic import ValidationError

from cdcore.errors import ConfigError
from serve.settings import ServiceSettings


def test_paths_are_made_absolute_and_names_are_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CUSTOMDIFFUSION_ROOT", raising=False)
    (tmp_path / "mybase").mkdir()
    made = ServiceSettings(base="mybase", keys="keys.json").resolved()
    assert made.base == str(tmp_path / "mybase")
    assert made.registry == str(tmp_path / "concepts")
    assert made.keys == str(tmp_path / "keys.json")
    assert os.path.isabs(made.cache)
    named = ServiceSettings(base="sd1.4", registry="s3://bucket/concepts").resolved()
    assert (named.base, named.registry) == ("sd1.4", "s3://bucket/concepts")
    monkeypatch.setenv("CUSTOMDIFFUSION_ROOT", "/shared")
    assert ServiceSettings().resolved().registry == "/shared/concepts"
    assert ServiceSettings(registry="/own").resolved().registry == "/own"


def test_sizes_become_those_of_the_engine() -> None:
    config = ServiceSettings(sizes=["96x64"], slots=5, host_gib=0.5).engine_config
    assert (config.sizes, config.slots, config.host_bytes) == (((96, 64),), 5, 2**29)
    for wrong in ({"sizes": ["96"]}, {"sizes": ["0x64"]}, {"slots": 0}, {"sloths": 1}):
        with pytest.raises(ValidationError):
            ServiceSettings.model_validate(wrong)


def test_every_path_may_lie_in_the_home_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("CUSTOMDIFFUSION_ROOT", raising=False)
    (tmp_path / "x").mkdir()
    for text in ("~/x", "$HOME/x"):
        paths = dict.fromkeys(("base", "registry", "keys", "captions", "cache"), text)
        made = ServiceSettings.model_validate(paths).resolved()
        assert {getattr(made, name) for name in paths} == {str(tmp_path / "x")}
    with pytest.raises(ConfigError, match="no user's home ~no-such-user"):
        ServiceSettings(keys="~no-such-user/keys.json").resolved()
