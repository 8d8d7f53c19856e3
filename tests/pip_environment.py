"""An environment to install the project into, as a fresh image with all its libraries has it."""

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

__all__ = ["python_with_libraries"]


def python_with_libraries(folder: Path) -> dict[str, str]:
    """Make an environment that has all libraries of this one, and not this project.

    Args:
        folder: An empty one, which is its home.

    Returns:
        The variables with which its Python and its pip run; pip stays away from the network and
        from dependencies.
    """
    environment = folder / "environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(environment)], check=True)
    libraries = folder / "libraries"
    libraries.mkdir()
    for path in Path(sysconfig.get_paths()["purelib"]).iterdir():
        if "customdiffusion" not in path.name:
            (libraries / path.name).symlink_to(path)
    pip = environment / "bin" / "pip"
    pip.write_text('#!/bin/sh\nexec python -m pip "$@"\n')
    pip.chmod(0o755)
    others = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
    return {
        "PATH": f"{pip.parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": os.pathsep.join([str(libraries), *others]),
        "HOME": str(folder),
        "PIP_NO_INDEX": "1",
        "PIP_NO_DEPS": "1",
        # Sets the option --no-build-isolation, whose name says the opposite.
        "PIP_NO_BUILD_ISOLATION": "0",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    }
