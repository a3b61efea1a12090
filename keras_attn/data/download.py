"""Named data sets from the place where TensorFlow's tutorials keep them."""

import hashlib
import pathlib
import zipfile
import zlib
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
    found = hashlib.sha256(archive.read_bytes()).hexdigest()
    _refuse_a_changed_archive(archive, found)
    pairs = _read_archive(archive, DOWNLOADS[name])
    _record(archive).write_text(f"{found}  {archive.name}\n", encoding="utf-8")
    return pairs


def _fetch(name, base_url, cache_folder):
    url = base_url + name + ".zip"
    if cache_folder is not None:
        pathlib.Path(cache_folder).mkdir(parents=True, exist_ok=True)  # or Keras would use another one
    try:
        path = keras.utils.get_file(f"{name}.zip", url, cache_dir=cache_folder, cache_subdir="datasets")
    except Exception as error:  # get_file raises a bare Exception where the server answers with an error
        raise InputError(
            f"{url} cannot be reached ({error}); fetch the file on another machine, or sentence pairs from "
            f"https://www.manythings.org/anki/, and pass the unpacked text with --tsv FILE."
        ) from error
    return pathlib.Path(path)


def _read_archive(archive, expected):
    """The pairs in an archive that is what it should be."""
    size = archive.stat().st_size
    if expected.archive_bytes is not None and size != expected.archive_bytes:
        raise InputError(f"{archive} has {size} bytes instead of {expected.archive_bytes}; {_fetch_again(archive)}")
    text = archive.with_name(f"{archive.stem}.txt")
    try:
        with zipfile.ZipFile(archive) as members:
            # Only this one member, by its name, and to a name of our own: nothing lands outside the cache.
            text.write_bytes(members.read(expected.member))
    except KeyError:
        raise InputError(f"{archive} has no member {expected.member}; {_fetch_again(archive)}") from None
    except (zipfile.BadZipFile, zlib.error) as error:
        raise InputError(f"{archive} is not a zip archive ({error}); {_fetch_again(archive)}") from error
    pairs = [(other, english) for english, other in read_tsv(text)]
    if expected.lines is not None and len(pairs) != expected.lines:
        raise InputError(f"{archive} has {len(pairs)} lines instead of {expected.lines}; {_fetch_again(archive)}")
    return pairs


def _refuse_a_changed_archive(archive, found):
    """Holds the hash against the one of the first good download."""
    record = _record(archive)
    if not record.exists():
        return
    recorded = record.read_text(encoding="utf-8").split()[0]
    if found != recorded:
        raise InputError(
            f"{archive} has changed since the first download (SHA-256 {found[:12]}... instead of {recorded[:12]}...); "
            f"if the new one is right, delete {record.name} beside it."
        )


def _record(archive):
    return archive.with_name(archive.name + ".sha256")


def _fetch_again(archive):
    return f"delete {archive} and run again to download it anew."
