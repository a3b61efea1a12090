"""Makes the environment in which the benchmarks find JoeyNMT.

    python -m benchmarks.joeynmt
    python -m benchmarks.decoding

JoeyNMT wants an older protobuf than TensorFlow does, so it gets a folder of its own, with the PyTorch that is installed
here. On Linux, what pip finds is PyTorch for Nvidia's cards, several gigabytes; where `PIP_EXTRA_INDEX_URL` names PyTorch's
index of builds for processors, it finds a small one.
"""

import argparse
import pathlib
import subprocess
import sys
from importlib import metadata

from benchmarks.common import ROOT, Skipped

FOLDER = ROOT / ".joeynmt"

VERSION = "2.3.0"
TORCH = "2.13.0"

# JoeyNMT imports it without asking for it.
MISSING = "importlib_metadata"


def add_option(command):
    """Lets a benchmark be told where JoeyNMT is."""
    command.add_argument(
        "--joeynmt",
        metavar="FOLDER",
        type=pathlib.Path,
        default=FOLDER,
        help="what `python -m benchmarks.joeynmt FOLDER` made (default: %(default)s)",
    )


def interpreter(folder):
    """The Python that has JoeyNMT.

    Raises:
        Skipped: it is not there.
    """
    folder = pathlib.Path(folder).resolve()
    for path in ("bin/python", "Scripts/python.exe"):
        if (folder / path).exists():
            return folder / path
    raise Skipped(f"JoeyNMT is not in {folder}; `python -m benchmarks.joeynmt {folder}` installs it there")


def main():
    command = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    command.add_argument("folder", nargs="?", type=pathlib.Path, default=FOLDER, help="where to (default: %(default)s)")
    folder = command.parse_args().folder
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    install = [interpreter(folder), "-m", "pip", "install", "--quiet"]
    # First, or JoeyNMT would bring the newest.
    subprocess.run([*install, f"torch=={_torch_version()}"], check=True)
    subprocess.run([*install, f"joeynmt=={VERSION}", MISSING], check=True)
    subprocess.run([interpreter(folder), "-c", "import joeynmt.model, joeynmt.search"], check=True)
    print(f"JoeyNMT {VERSION} is in {folder}")


def _torch_version():
    """The same as beside us, so that both rivals have one."""
    try:
        return metadata.version("torch").partition("+")[0]
    except metadata.PackageNotFoundError:
        return TORCH


if __name__ == "__main__":
    main()
