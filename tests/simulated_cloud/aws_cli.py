"""`aws SERVICE OPERATION --option value...` by boto3, for the commands of docs/cluster.md."""

import sys
from pathlib import Path
from typing import Any

import boto3  # type: ignore[import-untyped]

__all__ = ["aws"]

_REGION = "us-west-2"


def aws(words: list[str]) -> int:
    """Call one operation; what it answers is not printed."""
    service, operation, rest = words[0], words[1], words[2:]
    if (service, operation) == ("s3", "mb"):
        service, operation, rest = (
            "s3",
            "create-bucket",
            ["--bucket", rest[0].removeprefix("s3://")],
        )
    client = boto3.client(service, region_name=_REGION if service != "s3" else "us-east-1")
    settings: dict[str, Any] = {}
    for option, value in zip(rest[::2], rest[1::2], strict=True):
        name = "".join(word.title() for word in option.removeprefix("--").split("-"))
        settings[name] = _content(value)
    getattr(client, operation.replace("-", "_"))(**settings)
    return 0


def _content(value: str) -> str:
    if value.startswith("file://"):
        return Path(value.removeprefix("file://")).read_text()
    return value


def main() -> None:
    """Answer as the client does."""
    sys.exit(aws(sys.argv[1:]))
