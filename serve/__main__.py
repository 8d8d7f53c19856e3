"""``python -m serve``: the service on this machine, for whoever wants to try it.

On a cluster use ``serve deploy serve/config.yaml`` (docs/serving.md).
"""

import argparse
import json
import os
import signal
import sys
import time
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import ValidationError

from cdcore.errors import CustomDiffusionError
from serve.policies.loopback import is_loopback
from serve.settings import ServiceSettings

__all__ = ["Command", "greeting", "main", "read_arguments"]

_WAIT_S = 1800.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Command:
    """What the command line says.

    Attributes:
        settings: Of the service.
        host: Address to bind to.
        port: Port to bind to.
        metrics_port: Port for Prometheus, or None for one that Ray chooses.
    """

    settings: ServiceSettings
    host: str
    port: int
    metrics_port: int | None


def read_arguments(arguments: Sequence[str] | None = None) -> Command:
    """Read the command line; ends the process where it is wrong."""
    defaults = ServiceSettings()
    parser = argparse.ArgumentParser(
        "python -m serve", description="Serve every concept of a registry from one base model."
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to bind to")
    parser.add_argument("--port", type=int, default=8000, help="port to bind to")
    parser.add_argument("--metrics-port", type=int, help="port for Prometheus, on a Ray of its own")
    for name in ("base", "registry", "keys", "slots", "cpus", "gpus"):
        field = ServiceSettings.model_fields[name]
        default = getattr(defaults, name)
        parser.add_argument(
            f"--{name}", default=default, help=f"{field.description} (default {default})"
        )
    given = vars(parser.parse_args(arguments))
    host, port, metrics_port = (given.pop(name) for name in ("host", "port", "metrics_port"))
    if not is_loopback(host) and not given["keys"]:
        parser.error(
            f"--host is {host}, where others can reach the service; give --keys FILE (make one "
            "with python -m serve.api_keys --file keys.json --owner NAME)"
        )
    try:
        settings = ServiceSettings.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        parser.error(f"--{first['loc'][0]}: {first['msg']}")
    return Command(settings=settings, host=host, port=port, metrics_port=metrics_port)


def greeting(address: str, base: str) -> str:
    """Return what a newcomer is told when the service is ready."""
    body = json.dumps({"prompt": "a red cat on the beach", "response_format": "url"})
    return (
        f"serving base {base} at {address}\n"
        f"  reference   {address}/docs\n"
        f"  concepts    curl {address}/v1/concepts\n"
        f"  a picture   curl {address}/v1/images/generations \\\n"
        f"                -H 'content-type: application/json' -d '{body}'\n"
        "Ctrl-C ends it\n"
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the service until it is interrupted."""
    command = read_arguments(arguments)
    settings, host, port = command.settings, command.host, command.port
    import ray
    from ray import serve as ray_serve

    from serve.app import app

    ray.init(
        address=os.environ.get("RAY_ADDRESS", "local"),
        include_dashboard=None if os.environ.get("RAY_ADDRESS") else False,
        log_to_driver=False,
        _metrics_export_port=command.metrics_port,
    )
    # Behind Ray, which would print a trace and leave its processes behind.
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        ray_serve.start(http_options={"host": host, "port": port})
        sys.stderr.write(f"loading base {settings.base} ...\n")
        ray_serve.run(app(settings), name="customdiffusion")
        address = f"http://{'127.0.0.1' if host == '0.0.0.0' else host}:{port}"
        _wait_until_ready(address)
        sys.stdout.write(greeting(address, settings.base))
        sys.stdout.flush()
        signal.pause()
    except KeyboardInterrupt:
        sys.stderr.write("finishing what is in work ...\n")
    except CustomDiffusionError as error:
        sys.exit(f"error: {error}")
    finally:
        ray_serve.shutdown()  # type: ignore[no-untyped-call]
        ray.shutdown()


def _wait_until_ready(address: str) -> None:
    deadline = time.monotonic() + _WAIT_S
    while True:
        try:
            with urllib.request.urlopen(f"{address}/readyz", timeout=30):
                return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.5)


def _interrupt(number: int, frame: object) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    main()
