"""Parts for training, validation and test that share no source sentence."""

import hashlib
import itertools
import unicodedata
from typing import NamedTuple

import numpy as np

from keras_attn.data.pairs import Stream, read_pairs
from keras_attn.errors import InputError

# Control characters are spaces to a model, and zero-width spaces and byte-order marks nothing.
_UNSEEN = {**dict.fromkeys([*range(0x20), *range(0x7F, 0xA0)], " "), 0x200B: None, 0xFEFF: None}


class Split(NamedTuple):
    """Three collections of `(source, target)` pairs; no source sentence is in two of them."""

    train: list
    validation: list
    test: list


def split_pairs(pairs, validation=None, test=None, seed=0, lower_case=False):
    """Splits pairs into three parts, such that all pairs with the same source sentence fall into the same one.

    Two sentences are the same if they are so to a model: whatever their white space, their Unicode form, and characters that
    cannot be seen.

    The seed and the sentence alone decide which sentences come first, so that a corpus that grows keeps most of what it
    held out.

    Args:
        pairs: what `read_pairs` takes, such as an iterable of `(source, target)`.
        validation, test: how many different source sentences to hold out; `None` holds out one in twenty, but
            no more than 2,000.
        seed: of the choice.
        lower_case: whether sentences that differ by their capitals alone are the same, as for a model that lowers them.

    Returns:
        A `Split` of lists, each part in the order of the pairs; a part that is to have 0 is empty.

    Raises:
        InputError: there are too few different source sentences, an element is no pair of strings, or a number is below 0.
    """
    return Split(*map(list, stream_split(read_pairs(pairs), validation, test, seed, lower_case)))


def stream_split(pairs, validation=None, test=None, seed=0, lower_case=False):
    """Splits as `split_pairs` does without holding the pairs in memory: nine bytes for each meanwhile, and one afterwards.

    Args:
        pairs: a `Stream`, or whatever else can be gone through again and again.
        validation, test, seed, lower_case: see `split_pairs`.

    Returns:
        A `Split` of `Part`s, each of which reads the pairs anew.
    """
    keys = (_key(_uniform(source, lower_case), seed) for source, _ in pairs)
    of_pair = _parts(np.fromiter(keys, np.uint64), validation, test)
    return Split(*(Part(pairs, of_pair == number) for number in range(3)))


class Part(Stream):
    """Some of the pairs, in their order.

    Args:
        pairs: what can be gone through again and again.
        chosen: bool `(pairs,)`.
    """

    def __init__(self, pairs, chosen):
        super().__init__(lambda: itertools.compress(pairs, chosen))
        self._count = int(np.count_nonzero(chosen))

    def __len__(self):
        return self._count


def _key(source, seed):
    """A number that stands for a sentence; two sentences with the same one, which hardly ever happens, share a part."""
    return int.from_bytes(hashlib.blake2b(f"{seed} {source}".encode(), digest_size=8).digest(), "big")


def _uniform(source, lower_case):
    """What a text processor makes of a sentence (`TextProcessor.normalize`): sentences that are one to the model are one here."""
    source = unicodedata.normalize("NFKC", source.translate(_UNSEEN))
    return " ".join((source.lower() if lower_case else source).split())


def _parts(keys, validation, test):
    """The number of each pair's part, uint8 `(pairs,)`: the sentences with the smallest keys are held out."""
    different = np.unique(keys)
    automatic = max(1, min(2000, len(different) // 20))
    validation = automatic if validation is None else validation
    test = automatic if test is None else test
    if min(validation, test) < 0:
        raise InputError(f"{min(validation, test)} sentences cannot be held out; give 0 or more.")
    if len(different) <= validation + test:
        raise InputError(
            f"There are {len(different)} different source sentences, too few to hold out {validation} for validation "
            f"and {test} for the test and still train; give more pairs, hold out fewer, or give these parts yourself."
        )
    parts = np.zeros(len(keys), np.uint8)
    parts[keys < different[validation + test]] = 2
    parts[keys < different[validation]] = 1
    return parts
