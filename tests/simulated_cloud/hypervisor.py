"""The process that all machines of the cloud run in: boots them, and runs what is asked of them.

It is the first process of its own namespaces, so that everything ends with it. A client sends a
host and a command, with its own standard streams, and is sent the exit status.
"""

import json
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import boto3  # type: ignore[import-untyped]

from tests.simulated_cloud.place import CLOUD, EXCHANGE, GATEWAY, IMAGE, LAPTOP, MACHINES, NODES

_BOOT = """
set -e
mount --bind {root}/tmp /tmp
mount --bind {root}/home /home
mount --bind {root}/mnt /mnt
mount --bind {root}/opt /opt
mount --bind {root}/etc /etc
mount --bind {root}/var /var
mount --bind {root}/image {image}
mount -t tmpfs run /run
# Where Python's library lies in root's home, other users would be given Debian's.
echo {cloud}/python/lib > /etc/ld.so.conf.d/00-python.conf
/sbin/ldconfig
echo ubuntu:x:0:0::/home/ubuntu:/bin/bash >> /etc/passwd
# Debian's sets a PATH of its own, Ubuntu's does not.
echo > /etc/profile
touch /home/ubuntu/.bashrc /home/ray/.bashrc
touch /run/docker.sock {root}/ready
# As the first process it must take in what others leave, or Ray waits for the dead.
while :; do sleep 3600 & wait $!; done
"""
_NEW = (
    "unshare",
    "--net",
    "--pid",
    "--mount",
    "--fork",
    "--mount-proc",
    "--propagation",
    "private",
)


class Machine:
    """A running instance: namespaces, held by a process that sleeps."""

    def __init__(self, address: str, number: int) -> None:
        """Boot, and wait until it is up."""
        self.root = MACHINES / address
        for name in ("home/ubuntu", "home/ray", "mnt", "opt", "var/lib", "var/cache"):
            (self.root / name).mkdir(parents=True)
        for name in ("tmp", "var/tmp"):
            (self.root / name).mkdir()
            (self.root / name).chmod(0o1777)
        (self.root / "var" / "run").symlink_to("/run")
        subprocess.run(["cp", "-a", "/etc", str(self.root / "etc")], check=True)
        subprocess.run(["cp", "-a", str(IMAGE), str(self.root / "image")], check=True)
        script = _BOOT.format(root=self.root, image=IMAGE, cloud=CLOUD)
        self._held = subprocess.Popen([*_NEW, "--kill-child", "bash", "-c", script])
        while not (self.root / "ready").exists():
            assert self._held.poll() is None
            time.sleep(0.02)
        children = Path(f"/proc/{self._held.pid}/task/{self._held.pid}/children").read_text()
        self.pid = int(children.split()[0])
        self._plug_in(address, f"machine{number}")

    def popen(self, command: str, **settings: Any) -> "subprocess.Popen[bytes]":
        """Run a command in a shell of the machine, as sshd does."""
        entered = ["nsenter", "-t", str(self.pid), "--net", "--pid", "--mount"]
        return subprocess.Popen([*entered, "bash", "-c", command], cwd="/", **settings)

    def end(self) -> None:
        """Power off."""
        self._held.kill()
        self._held.wait()

    def _plug_in(self, address: str, name: str) -> None:
        def ip(*words: str) -> None:
            subprocess.run(["ip", *words], check=True)

        ip("link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", str(self.pid))
        ip("link", "set", name, "master", "switch", "up")
        inside = (
            f"ip link set lo up && ip addr add {address}/16 dev eth0 && ip link set eth0 up "
            f"&& ip route add default via {GATEWAY}"
        )
        assert self.popen(inside).wait() == 0


class Hypervisor:
    """Machines by their private address; an instance of EC2 boots when it is first asked."""

    def __init__(self, endpoint: str) -> None:
        """Stand before an EC2 that lists the instances."""
        self._ec2 = boto3.client("ec2", endpoint_url=endpoint, region_name="us-west-2")
        self._machines: dict[str, Machine] = {}
        self._lock = threading.Lock()

    def serve(self) -> None:
        """Answer until killed."""
        threading.Thread(target=self._end_terminated, daemon=True).start()
        listening = socket.socket(socket.AF_UNIX)
        listening.bind(str(EXCHANGE))
        listening.listen()
        while True:
            client, _ = listening.accept()
            threading.Thread(target=self._answer, args=(client,), daemon=True).start()

    def _answer(self, client: socket.socket) -> None:
        message, streams, _, _ = socket.recv_fds(client, 1 << 20, 3)
        while not message.endswith(b"\n"):
            message += client.recv(1 << 20)
        asked = json.loads(message)
        try:
            status = self._run(asked["host"], asked["command"], streams)
        except Exception as error:
            os.write(streams[2], f"{type(error).__name__}: {error}\n".encode())
            status = 255
        for stream in streams:
            os.close(stream)
        client.sendall(f"{status}\n".encode())
        client.close()

    def _run(self, host: str, command: str, streams: list[int]) -> int:
        given: dict[str, Any] = dict(zip(("stdin", "stdout", "stderr"), streams, strict=True))
        path = f"{CLOUD}/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        plain = {"PATH": path, "LC_ALL": "C.UTF-8", "TERM": "dumb", "USER": "root"}
        if host == "laptop":
            home = {"HOME": str(LAPTOP), **json.loads((CLOUD / "laptop.json").read_text())}
            path = f"{IMAGE}/bin:{path}"
            return subprocess.Popen(
                ["bash", "-c", command],
                cwd=LAPTOP / "customdiffusion",
                env=plain | home | {"PATH": path},
                **given,
            ).wait()
        machine = self._machine(host)
        if command.startswith("pid"):
            os.write(streams[1], str(machine.pid).encode())
            return 0
        return machine.popen(command, env=plain | {"HOME": "/home/ubuntu"}, **given).wait()

    def _machine(self, host: str) -> Machine:
        with self._lock:
            address = host if host.startswith(NODES) else self._private(host)
            if address not in self._machines:
                self._machines[address] = Machine(address, len(self._machines))
            return self._machines[address]

    def _private(self, host: str) -> str:
        for instance in self._instances():
            address = str(instance["PrivateIpAddress"])
            if host in (address, instance.get("PublicIpAddress")):
                return address
        raise ConnectionError(f"no machine has the address {host}")

    def _end_terminated(self) -> None:
        while True:
            time.sleep(1)
            with self._lock:
                running = {instance["PrivateIpAddress"] for instance in self._instances()}
                for address in set(self._machines) - running:
                    if not address.startswith(NODES):
                        self._machines.pop(address).end()

    def _instances(self) -> list[dict[str, Any]]:
        running = [{"Name": "instance-state-name", "Values": ["running"]}]
        pages = self._ec2.describe_instances(Filters=running)["Reservations"]
        return [instance for page in pages for instance in page["Instances"]]


def main() -> None:
    """Bring up the network that machines are plugged into, EC2, and what answers."""
    for words in (
        "link set lo up",
        "link add switch type bridge",
        f"addr add {GATEWAY}/16 dev switch",
        "link set switch up",
    ):
        subprocess.run(["ip", *words.split()], check=True)
    api = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", GATEWAY, "-p", "5000"],
        stdout=subprocess.DEVNULL,
        stderr=(CLOUD / "moto.log").open("wb"),
    )
    while True:
        try:
            socket.create_connection((GATEWAY, 5000), 1).close()
            break
        except OSError:
            assert api.poll() is None
            time.sleep(0.05)
    Hypervisor(f"http://{GATEWAY}:5000").serve()
