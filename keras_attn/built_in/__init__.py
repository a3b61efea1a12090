"""The models that come with the package, see `README.md` beside this file."""

import pathlib

NAMES = ("dates",)


def folder_of(name):
    """The folder that a name stands for: one on disk, or of a model that comes with the package where there is none."""
    path = pathlib.Path(name)
    return pathlib.Path(__file__).with_name(str(name)) if str(name) in NAMES and not path.exists() else path
