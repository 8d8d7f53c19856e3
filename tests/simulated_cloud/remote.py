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
        return int(exchange.makefile().readline())


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
    """Copy to a machine (`--rsh`), or into the container of this one (`-e 'docker exec -i'`)."""
    options, places = [], []
    while words:
        word = words.pop(0)
        if word in ("--rsh", "-e", "--exclude", "--filter"):
            options.append((word, words.pop(0)))
        elif not word.startswith("-"):
            places.append(word)
    source, (host, _, target) = places[0], places[1].partition(":")
    if ("-e", "docker exec -i") in options:
        Path(target).parent.mkdir(parents=True, exist_ok=True)
        return subprocess.run(["cp", "-r", source, target], check=False).returncode
    excluded = [f"--exclude=./{value}" for name, value in options if name == "--exclude"]
    files = [value.removeprefix("dir-merge,- ") for name, value in options if name == "--filter"]
    excluded += [f"--exclude-ignore={name}" for name in files]
    host, place = host.rpartition("@")[2], shlex.quote(target.rstrip("/"))
    if Path(source).is_dir():
        pack = ["tar", "-C", source, *excluded, "-cf", "-", "."]
        unpack = f"mkdir -p {place} && tar -C {place} -xf -"
    else:
        pack, unpack = ["cat", source], f"cat > {place}"
    with subprocess.Popen(pack, stdout=subprocess.PIPE) as packing:
        assert packing.stdout is not None
        return run(host, unpack, (packing.stdout.fileno(), 1, 2))


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
