"""Files and folders that are there whole or not at all; what is not whole is refused."""

import contextlib
import json
import os
import pathlib
import shutil
import tempfile

from keras_attn.errors import InputError


@contextlib.contextmanager
def written_whole(path):
    """A path to write to, which takes its real name only when the block ends well.

    Whoever dies in the middle leaves what was there before as it was.

    Args:
        path: the file or folder that is to be written; a file is replaced by a file, a folder by a folder. What a link
            leads to is replaced, not the link.

    Yields:
        A `pathlib.Path` with the same ending in the same folder, where nothing is yet.

    Raises:
        InputError: a folder is in the way of a file.
    """
    path = _without_link(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    workplace = pathlib.Path(tempfile.mkdtemp(prefix=f".{path.name}-", dir=path.parent))
    unfinished, replaced = workplace / path.name, workplace / ".replaced"
    try:
        yield unfinished
        if path.is_dir() and unfinished.is_file():
            raise InputError(f"{path} is a folder, but a file is to be written; choose another path.")
        if path.is_dir() and unfinished.exists():
            os.replace(path, replaced)
        os.replace(unfinished, path)
    finally:
        if replaced.exists() and not path.exists():
            os.replace(replaced, path)
        shutil.rmtree(workplace, ignore_errors=True)


def _without_link(path):
    path = pathlib.Path(path)
    return path.resolve() if path.is_symlink() else path


def write_text(path, text):
    """Writes a UTF-8 text file whole or not at all."""
    with written_whole(path) as unfinished:
        unfinished.write_text(text, encoding="utf-8")


def read_json(path, missing=None):
    """The dictionary in a JSON file that this package wrote.

    Args:
        path: the file.
        missing: the dictionary to return where there is no file, which is otherwise an error of the system.

    Raises:
        InputError: there is none in it, as after half a copy.
    """
    path = pathlib.Path(path)
    if missing is not None and not path.is_file():
        return missing
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{path} is no whole JSON file ({error}); restore it, or make it anew.") from error
    if not isinstance(record, dict):
        raise InputError(f"{path} holds no JSON object, but a {type(record).__name__}; restore it, or make it anew.")
    return record


def refuse_one_input_twice(given):
    """Raises an `InputError` where more than one of these is standard input.

    Args:
        given: a dictionary from flags to paths, or to `None`.
    """
    names = [flag for flag, path in given.items() if path == "-"]
    if len(names) > 1:
        raise InputError(f"{' and '.join(names)} cannot both be standard input; give a file for one of them.")


def refuse_existing(path, overwrite, is_folder=False):
    """Raises an `InputError` where something is at the path that may not be overwritten.

    Args:
        path: a file or folder, or `None`.
        overwrite: whether it may be, if it is of the kind that is to be written.
        is_folder: whether that is a folder.
    """
    if path is None or not os.path.lexists(path):
        return
    if not overwrite:
        raise InputError(f"{path} exists already; add --overwrite to replace it, or choose another path.")
    if not (os.path.isdir(path) if is_folder else os.path.isfile(path)):
        kind = "folder" if is_folder else "ordinary file"
        raise InputError(f"{path} exists already and is no {kind}, so it is not replaced; choose another path.")
