"""Tests of `serve.gateway.exporting`."""

import io
import zipfile

import pytest
from safetensors.torch import load

from cdcore.errors import ConfigError
from cdcore.formats.tensors.kv_base import KVBase
from cdcore.model.base import Base
from serve.gateway.exporting import CONCEPT, EXPORTS, check_format, export
from tests.serve.service_case import make_concept


@pytest.mark.parametrize("name", [name for name in EXPORTS if name != CONCEPT])
def test_every_format_is_one_download_named_after_concept_and_format(
    tiny_base: Base, name: str
) -> None:
    download = export(make_concept(tiny_base, "mycat"), KVBase.of(tiny_base), name)
    assert download.file_name.startswith(f"mycat.{name}.")
    assert download.data
    is_archive = zipfile.is_zipfile(io.BytesIO(download.data))
    if download.media_type == "application/zip":
        assert download.file_name.endswith(".zip")
        with zipfile.ZipFile(io.BytesIO(download.data)) as archive:
            assert archive.testzip() is None
            assert all(not file.startswith(("/", "..")) for file in archive.namelist())
            assert len(archive.namelist()) > 1
    elif download.file_name.endswith(".safetensors"):
        assert not is_archive
        assert load(download.data)


def test_an_unknown_format_is_refused() -> None:
    with pytest.raises(ConfigError, match="format is 'pickle', expected one of concept, adobe"):
        check_format("pickle")
