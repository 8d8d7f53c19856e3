"""`ssh` and `rsync` to machines of the cloud, as Ray's launcher calls them.

Standard library only: machines run this file without this project.
"""

import ctypes
import json
import os
import shlex
import socket
import subprocess
import sys
import threading
from pathlib import Path

from tests.simulated_cloud.place import EXCHANGE, SEEN

_NEW_NETWORK = 0x40000000


__all__ = ["rsync", "run", "ssh"]


def run(
    host: str,
    command: str,
    streams: tuple[int, int, int] = (0, 1, 2),
    exchange_at: Path = EXCHANGE,
) -> int:
    """Run a command on a host, with these streams, and return its exit status."""
    with socket.socket(socket.AF_UNIX) as exchange:
        exchange.connect(str(exchange_at))
        message = json.dumps({"host": host, "command": command}).encode() + b"\n"
        socket.send_fds(exchange, [message[: 1 << 16]], streams)
        exchange.sendall(message[1 << 16 :])
        # Nothing comes where the whole cloud has ended.
        return int(exchange.makefile().readline() or 255)


def ssh(words: list[str]) -> int:
    """`ssh [-tt] [-i KEY] [-o OPTION]... [-L PORT:localhost:PORT] USER@HOST COMMAND...`."""
    forwards = []
    while words[0].startswith("-"):
        option = words.pop(0)
        if option in ("-i", "-o", "-L"):
            value = words.pop(0)
            if option == "-L":
                forwards.append(value)
            if option == "-i" and not Path(value).expanduser().is_file():
                sys.stderr.write(f"no key at {value}\n")
                return 255
    host = words.pop(0).rpartition("@")[2]
    command = " ".join(words)
    with SEEN.open("a") as seen:
        seen.write(json.dumps({"host": host, "ssh": command}) + "\n")
    for forward in forwards:
        here, _, there = forward.split(":")
        threading.Thread(target=_forward, args=(int(here), host, int(there)), daemon=True).start()
    return run(host, command)


def rsync(words: list[str]) -> int:
    """Copy to or from a machine (`--rsh`), or the container of this one (`-e 'docker exec -i'`).

    A folder's content is meant where its name ends with a slash or a dot, as the launcher's do.
    """
    options, places = [], []
    while words:
        word = words.pop(0)
        if word in ("--rsh", "-e", "--exclude", "--filter"):
            options.append((word, words.pop(0)))
        elif not word.startswith("-"):
            places.append(word)
    source, target = places
    if ("-e", "docker exec -i") in options:
        source, target = (place.rpartition(":")[2] for place in (source, target))
        is_folder = Path(source).is_dir()
        (Path(target) if is_folder else Path(target).parent).mkdir(parents=True, exist_ok=True)
        source = f"{source.rstrip('/.')}/." if is_folder else source
        return subprocess.run(["cp", "-r", source, target], check=False).returncode
    if "@" in source.partition(":")[0]:
        return _download(source, target)
    excluded = [f"--exclude=./{value}" for name, value in options if name == "--exclude"]
    files = [value.removeprefix("dir-merge,- ") for name, value in options if name == "--filter"]
    return _upload(source, target, [*excluded, *(f"--exclude-ignore={name}" for name in files)])


def _upload(source: str, target: str, excluded: list[str]) -> int:
    host, place = _remote(target)
    if Path(source).is_dir():
        pack = ["tar", "-C", source, *excluded, "-cf", "-", "."]
        unpack = f"mkdir -p {place} && tar -C {place} -xf -"
    else:
        pack, unpack = ["cat", source], f"cat > {place}"
    with subprocess.Popen(pack, stdout=subprocess.PIPE) as packing:
        assert packing.stdout is not None
        return run(host, unpack, (packing.stdout.fileno(), 1, 2))


def _download(source: str, target: str) -> int:
    host, place = _remote(source)
    Path(target).mkdir(parents=True, exist_ok=True)
    unpack = ["tar", "-C", target, "-xf", "-"]
    with subprocess.Popen(unpack, stdin=subprocess.PIPE) as unpacking:
        assert unpacking.stdin is not None
        return run(host, f"tar -C {place} -cf - .", (0, unpacking.stdin.fileno(), 2))


def _remote(place: str) -> tuple[str, str]:
    """Return the host and the quoted path of ``USER@HOST:PATH``."""
    host, _, path = place.partition(":")
    return host.rpartition("@")[2], shlex.quote(path.removesuffix(".").rstrip("/"))


def _forward(here: int, host: str, there: int) -> None:
    """Listen here, and connect inside the machine, as the far end of a tunnel does."""
    reading, writing = os.pipe()
    run(host, "pid", (0, writing, 2))
    namespace = os.open(f"/proc/{os.read(reading, 20).decode()}/ns/net", os.O_RDONLY)
    with socket.create_server(("127.0.0.1", here)) as listening:
        while True:
            client, _ = listening.accept()
            if os.fork() == 0:
                if ctypes.CDLL(None).setns(namespace, _NEW_NETWORK) == 0:
                    _pump(client, socket.create_connection(("127.0.0.1", there)))
                os._exit(0)
            client.close()


def _pump(one: socket.socket, other: socket.socket) -> None:
    def copy(source: socket.socket, target: socket.socket) -> None:
        while data := source.recv(1 << 16):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)

    back = threading.Thread(target=copy, args=(other, one))
    back.start()
    copy(one, other)
    back.join()
