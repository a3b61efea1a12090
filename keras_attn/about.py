"""Which versions wrote something, so that another one can say so instead of failing on it."""

import json
import pathlib
from importlib import metadata

from keras_attn import files
from keras_attn.errors import InputError

# Raised when folders written from now on cannot be read by older versions, or theirs by this one.
FORMAT = 2

FILE = "about.json"
_PACKAGES = ("keras_attn", "keras", "tensorflow", "tensorflow-text")


def versions():
    """The installed versions of this package and of what it computes with, a dictionary; `None` for what is used without
    being installed."""
    return {name: _version(name) for name in _PACKAGES}


def write(folder):
    """Writes into a folder which format it has and what wrote it."""
    files.write_text(folder / FILE, json.dumps({"format": FORMAT, "versions": versions()}, indent=1) + "\n")


def refuse_another_format(folder):
    """Raises an `InputError` that names both versions where `write` of another format was at work."""
    about = files.read_json(folder / FILE, missing={"format": 1, "versions": {}})
    if about.get("format") != FORMAT:
        writer = about.get("versions", {}).get("keras_attn") or "an early version"
        raise InputError(
            f"{folder} was written by keras_attn {writer} (format {about.get('format')}), but this is "
            f"{versions()['keras_attn']} (format {FORMAT}); use that version, or train anew."
        )


def _version(package):
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def of_run(folder):
    """What the files of a training run say of it: a dictionary of its `task`, its configuration for `training`, and its
    measured `quality`; `None` for what they do not say."""
    paths = (pathlib.Path(folder, name) for name in ("config.json", "metrics.json"))
    config, metrics = (files.read_json(path, missing={}) for path in paths)
    return {"task": config.get("task"), "training": config.get("train"), "quality": metrics}
