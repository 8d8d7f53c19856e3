"""``python -m serve``: the service on this machine, for whoever wants to try it.

On a cluster use ``serve deploy serve/config.yaml`` (docs/serving.md).
"""

import json
import signal
import sys
import time
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_type_hints

from pydantic import ValidationError

from cdcore.command_line.fields import Setting, settings_of
from cdcore.command_line.parser import CommandLine, run_command
from cdcore.errors import ConfigError, one_line
from raycluster.joinable import check_joinable
from serve.hosting import APPLICATION, check_head, check_port, hosted
from serve.policies.loopback import is_loopback
from serve.settings import ServiceSettings

__all__ = ["Address", "Command", "greeting", "main", "read_arguments", "service_flags"]

_WAIT_S = 1800.0
_SETTINGS = ("base", "registry", "keys", "slots", "cpus", "gpus")
"""The settings of the service that are flags as well; the others are set by a file."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Address:
    """Where the service listens."""

    host: str = "127.0.0.1"
    """Address to bind to."""
    port: int = 8000
    """Port to bind to."""
    metrics_port: int | None = None
    """Port for Prometheus, on a Ray of its own; unset, Ray chooses one."""

    @property
    def url(self) -> str:
        """Where this machine finds it."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Command:
    """What the command line says.

    Attributes:
        settings: The settings of the service.
        address: Where it listens.
    """

    settings: ServiceSettings
    address: Address


def read_arguments(arguments: Sequence[str] | None = None) -> Command:
    """Read the command line; None takes the process's own.

    Raises:
        ConfigError: A flag is unknown, or a value impossible.
    """
    of_address = settings_of(Address)
    given = CommandLine(
        settings={**of_address, **service_flags()},
        prog="python -m serve",
        description="Serve every concept of a registry from one base model.",
        groups={"service": _SETTINGS},
        takes_file=False,
    ).read(arguments)
    address = Address(**{name: given.pop(name) for name in of_address})
    if not is_loopback(address.host) and not given["keys"]:
        raise ConfigError(
            f"--host is {address.host}, where others can reach the service; give --keys FILE (make "
            "one with python -m serve.api_keys --file keys.json --owner NAME)"
        )
    return Command(settings=_checked(given), address=address)


def service_flags() -> dict[str, Setting]:
    """Return the settings of the service that are flags, as the parser reads them."""
    fields, hints = (
        ServiceSettings.model_fields,
        get_type_hints(ServiceSettings, include_extras=True),
    )
    return {
        name: Setting(
            name=name,
            annotation=hints[name],
            default=fields[name].default,
            doc=_sentence(fields[name].description or ""),
        )
        for name in _SETTINGS
    }


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."


def _checked(given: Mapping[str, Any]) -> ServiceSettings:
    try:
        return ServiceSettings.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        place = first["loc"][0]
        raise ConfigError(f"--{place} is {first['input']!r}: {first['msg']}") from error


def greeting(address: str, base: str) -> str:
    """Return what a newcomer is told when the service is ready."""
    body = json.dumps({"prompt": "a red cat on the beach", "response_format": "url"})
    return (
        f"serving base {one_line(base)} at {address}\n"
        f"  reference   {address}/docs\n"
        f"  concepts    curl {address}/v1/concepts\n"
        f"  a picture   curl {address}/v1/images/generations \\\n"
        f"                -H 'content-type: application/json' -d '{body}'\n"
        "Ctrl-C ends it\n"
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the service until it is interrupted; ``arguments`` are the command's own when None.

    Raises:
        CustomDiffusionError: A flag, the base, the registry or the file of keys cannot be used.
    """
    command = read_arguments(arguments)
    settings, address = command.settings, command.address
    _check_early(command)
    from ray import serve as ray_serve

    from raycluster.connection import connected
    from serve.app import app

    with connected(address.metrics_port):
        check_head()
        with hosted(address.host, address.port):
            try:
                sys.stderr.write(f"loading base {one_line(settings.base)} ...\n")
                ray_serve.run(app(settings), name=APPLICATION)
                _wait_until_ready(address.url)
                sys.stdout.write(greeting(address.url, settings.base))
                sys.stdout.flush()
                signal.pause()
            except KeyboardInterrupt:
                sys.stderr.write("finishing what is in work ...\n")


def _check_early(command: Command) -> None:
    """Refuse what can be refused before Ray and the base take their seconds."""
    from cdcore.model.base_files import local_base
    from serve.api_keys import ApiKeys

    used, address = command.settings.resolved(), command.address
    if used.keys is not None:
        ApiKeys(Path(used.keys))
    check_joinable()
    check_port("--port", address.host, address.port)
    if address.metrics_port is not None:
        check_port("--metrics-port", "0.0.0.0", address.metrics_port)
    local_base(used.base)
    if "://" not in used.registry:
        # Last, because pyarrow takes a moment to import: other refusals should not wait for it.
        from cdcore.registry.object_store import ObjectStore

        ObjectStore(used.registry)


def _wait_until_ready(address: str) -> None:
    # The environment's proxy is for the world outside, and knows nothing of this machine.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    deadline = time.monotonic() + _WAIT_S
    while True:
        try:
            with opener.open(f"{address}/readyz", timeout=30):
                return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.5)


if __name__ == "__main__":
    run_command(main)
