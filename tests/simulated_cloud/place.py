"""Where things lie inside the cloud, which the files of this folder must agree on.

Standard library only: machines run these files without this project.
"""

from pathlib import Path

__all__ = ["CLOUD", "EXCHANGE", "GATEWAY", "IMAGE", "LAPTOP", "MACHINES", "NODES", "SEEN"]

CLOUD = Path("/srv")
EXCHANGE = CLOUD / "exchange"
"""The socket that asks the hypervisor to run a command somewhere."""
IMAGE = CLOUD / "image"
"""The Python that stands for the container image; each machine has a copy."""
LAPTOP = CLOUD / "laptop"
MACHINES = CLOUD / "machines"
"""A folder for each machine, named after its private address."""
SEEN = CLOUD / "seen"
"""What was asked of ssh and docker, a line each."""
GATEWAY = "172.31.0.1"
"""The address of the cloud's API in moto's default network, and of every machine's router."""
NODES = "172.31.200."
"""How the addresses begin of machines that nobody has to ask EC2 for."""
