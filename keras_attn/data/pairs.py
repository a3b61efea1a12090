"""Pairs of strings, source and target, from wherever a user has them."""

import contextlib
import gzip
import itertools
import os
import pathlib
import sys
import zlib

from keras_attn.errors import InputError
from keras_attn.text.given import elements


class Stream:
    """What can be gone through again and again, and is made anew each time instead of being kept in memory.

    Args:
        start: a function that returns an iterator.
    """

    def __init__(self, start):
        self._start = start

    def __iter__(self):
        return iter(self._start())


def read_pairs(pairs):
    """Pairs of strings from a TSV file, an iterable or a `tf.data.Dataset`.

    Args:
        pairs: the path of a TSV file, an iterable of `(source, target)`, or a `tf.data.Dataset` of two scalar strings.

    Returns:
        A list of `(source, target)`, each a `str`.

    Raises:
        InputError: an element is not a pair of strings, or see `read_tsv`.
    """
    return list(iterate_pairs(pairs))


def iterate_pairs(pairs):
    """The pairs of `read_pairs`, one after the other."""
    if isinstance(pairs, (str, os.PathLike)):
        pairs = stream_tsv(pairs)
    for number, pair in enumerate(elements(pairs, "A pair"), 1):
        yield _as_pair(pair, number)


def read_tsv(path):
    """Pairs from a file with a line `source<TAB>target` each; further columns and blank lines are passed over.

    Args:
        path: a UTF-8 file, with or without a byte-order mark, plain or `.gz`; `"-"` is standard input.

    Returns:
        A list of `(source, target)`.

    Raises:
        InputError: the file is missing or empty, a line is not UTF-8 or has no tab.
    """
    return list(stream_tsv(path))


def stream_tsv(path):
    """The pairs of a TSV file of any size, see `read_tsv`, as a `Stream`; what is wrong shows when it is gone through."""
    message = f"{path} is empty; each line must be source<TAB>target."
    return Stream(lambda: _not_empty(iterate_tsv(path), message))


def iterate_tsv(path):
    """The pairs of a TSV file, see `read_tsv`, read once, one after the other; an empty file has none."""
    for number, line in enumerate(read_lines(path), 1):
        if not line.strip() and "\t" not in line:
            continue
        source, tab, rest = line.partition("\t")
        if not tab:
            raise InputError(f"{path}, line {number} has no tab; each line must be source<TAB>target.")
        yield source, rest.partition("\t")[0]


def read_parallel(source_path, target_path):
    """Pairs from two files, line by line.

    Args:
        source_path, target_path: UTF-8 files, with or without a byte-order mark, plain or `.gz`; `"-"` is standard input.

    Returns:
        A list of `(source, target)`.

    Raises:
        InputError: a file is missing or empty, a line is not UTF-8, or the numbers of lines differ.
    """
    return list(stream_parallel(source_path, target_path))


def stream_parallel(source_path, target_path):
    """The pairs of two files of any size, see `read_parallel`, as a `Stream`; what is wrong shows when it is gone through."""
    message = f"{source_path} and {target_path} are empty; they must have one sentence a line."
    return Stream(lambda: _not_empty(iterate_parallel(source_path, target_path), message))


def iterate_parallel(source_path, target_path):
    """The pairs of two files, see `read_parallel`, read once, one after the other; that the numbers of lines differ shows at
    their end."""
    missing = object()
    sources, targets = read_lines(source_path), read_lines(target_path)
    for number, pair in enumerate(itertools.zip_longest(sources, targets, fillvalue=missing)):
        if missing in pair:
            further = 1 + sum(1 for _ in (*sources, *targets))
            counts = (number, number + further) if pair[0] is missing else (number + further, number)
            raise InputError(
                f"{source_path} has {counts[0]} lines and {target_path} has {counts[1]}; line by line, one must translate "
                f"the other."
            )
        yield pair


def read_references(path):
    """Sources with all that is right for each of them.

    Args:
        path: a UTF-8 file of lines `source<TAB>answer<TAB>answer...`, plain or `.gz`; blank lines are passed over.

    Returns:
        A list of `(source, [answer, ...])`.

    Raises:
        InputError: the file is missing or empty, a line is not UTF-8 or has no tab.
    """
    rows = []
    for number, line in enumerate(read_lines(path), 1):
        if line.strip() or "\t" in line:
            source, *answers = line.split("\t")
            if not answers:
                raise InputError(f"{path}, line {number} has no tab; each must be source<TAB>answer<TAB>answer...")
            rows.append((source, answers))
    if not rows:
        raise InputError(f"{path} is empty; each line must be source<TAB>answer<TAB>answer...")
    return rows


def _not_empty(pairs, message):
    """The pairs as they are, and a refusal where there are none."""
    empty = True
    for pair in pairs:
        empty = False
        yield pair
    if empty:
        raise InputError(message)


def _as_pair(pair, number):
    try:
        if isinstance(pair, (str, bytes, dict, set)):  # these have two elements at times, but not these two
            raise TypeError(type(pair))
        source, target = pair
        return _as_text(source), _as_text(target)
    except (TypeError, ValueError) as error:
        raise InputError(f"Element {number} of the pairs is {pair!r}; it must be two strings in UTF-8.") from error


def _as_text(value):
    text = value.decode("utf-8") if isinstance(value, bytes) else value
    if not isinstance(text, str):
        raise TypeError(type(text))
    text.encode()  # raises a ValueError where half a character is missing
    return text


def read_lines(path):
    """The lines of a text file, one after the other, without their ends and without a byte-order mark.

    Args:
        path: a UTF-8 file, plain or `.gz`; `"-"` is standard input.

    Raises:
        InputError: the file is missing, a line is not UTF-8, lines do not end with line feeds, or the compression is broken.
    """
    number = 0
    try:
        with _open(path) as file:
            for number, line in enumerate(file, 1):
                if number == 1 and b"\r" in line.rstrip(b"\r") and not line.endswith(b"\n"):
                    raise InputError(f"{path} ends its lines with carriage returns alone; convert them to line feeds.")
                yield line.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}, line {number} is not UTF-8 ({error.reason}); convert the file first.") from error
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise InputError(f"{path} is not a whole gzip file ({error}); fetch or compress it again.") from error


def _open(path):
    if str(path) == "-":
        return contextlib.nullcontext(sys.stdin.buffer)
    path = pathlib.Path(path)
    if not path.is_file():
        raise InputError(f"{path} is not a file; give the path of a UTF-8 text file, plain or .gz.")
    return gzip.open(path, "rb") if path.suffix.lower() == ".gz" else path.open("rb")
