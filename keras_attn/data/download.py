"""Named data sets from the place where TensorFlow's tutorials keep them."""

import hashlib
import pathlib
import zipfile
from typing import NamedTuple

import keras

from keras_attn.data.pairs import read_tsv
from keras_attn.errors import InputError

BASE_URL = "https://storage.googleapis.com/download.tensorflow.org/data/"


class Download(NamedTuple):
    """A zip archive with one text file of `English<TAB>other language` lines."""

    member: str
    archive_bytes: int | None = None
    lines: int | None = None


# Sizes as the tutorials that use these archives report them.
DOWNLOADS = {
    "spa-eng": Download("spa-eng/spa.txt", archive_bytes=2_638_744, lines=118_964),
    "fra-eng": Download("fra.txt", lines=167_130),
}


def download_pairs(name, base_url=BASE_URL, cache_folder=None):
    """Sentences in another language with their English translations, downloaded once and then kept.

    Args:
        name: `"spa-eng"` (Spanish to English) or `"fra-eng"` (French to English).
        base_url: folder of the archive `NAME.zip`.
        cache_folder: where to keep it; `None` is Keras's own cache.

    Returns:
        A list of `(sentence, English sentence)`.

    Raises:
        InputError: the name is unknown, the archive cannot be reached, or it is not what it should be.

    Source: manythings.org/anki, from tatoeba.org, CC BY 2.0.
    """
    if name not in DOWNLOADS:
        raise InputError(f"{name!r} is not a data set; known are dates, {', '.join(DOWNLOADS)}.")
    archive = _fetch(name, base_url, cache_folder)
    _check_archive(archive, DOWNLOADS[name])
    _check_hash(archive)
    text = _extract(archive, DOWNLOADS[name].member)
    pairs = [(other, english) for english, other in read_tsv(text)]
    expected = DOWNLOADS[name].lines
    if expected is not None and len(pairs) != expected:
        raise InputError(f"{text} has {len(pairs)} lines instead of {expected}; {_fetch_again(archive)}")
    return pairs


def _fetch(name, base_url, cache_folder):
    url = base_url + name + ".zip"
    try:
        path = keras.utils.get_file(f"{name}.zip", url, cache_dir=cache_folder, cache_subdir="datasets")
    except Exception as error:  # get_file raises a bare Exception where the server answers with an error
        raise InputError(
            f"{url} cannot be reached ({error}); fetch the file on another machine, or sentence pairs from "
            f"https://www.manythings.org/anki/, and pass the unpacked text with --tsv FILE."
        ) from error
    return pathlib.Path(path)


def _check_archive(archive, expected):
    size = archive.stat().st_size
    if expected.archive_bytes is not None and size != expected.archive_bytes:
        raise InputError(f"{archive} has {size} bytes instead of {expected.archive_bytes}; {_fetch_again(archive)}")
    if not zipfile.is_zipfile(archive):
        raise InputError(f"{archive} is not a zip archive; {_fetch_again(archive)}")


def _check_hash(archive):
    """Records the hash of the first download beside it, and holds every later one against it."""
    found = hashlib.sha256(archive.read_bytes()).hexdigest()
    record = archive.with_name(archive.name + ".sha256")
    if not record.exists():
        record.write_text(f"{found}  {archive.name}\n", encoding="utf-8")
    recorded = record.read_text(encoding="utf-8").split()[0]
    if found != recorded:
        raise InputError(
            f"{archive} has changed since the first download (SHA-256 {found[:12]}... instead of {recorded[:12]}...); "
            f"if the new one is right, delete {record.name} beside it."
        )


def _extract(archive, member):
    """Copies one member, found by its name, to a file beside the archive."""
    text = archive.with_name(f"{archive.stem}.txt")
    with zipfile.ZipFile(archive) as members:
        if member not in members.namelist():
            raise InputError(f"{archive} has no member {member}; {_fetch_again(archive)}")
        text.write_bytes(members.read(member))
    return text


def _fetch_again(archive):
    return f"delete {archive} and run again to download it anew."
