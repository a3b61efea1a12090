"""Strings to token ids and back, inside the TensorFlow graph."""

import itertools

from keras_attn.errors import InputError
from keras_attn.ids import SPECIAL_TOKENS
from keras_attn.text.processor import TextProcessor
from keras_attn.text.subwords import SubwordProcessor
from keras_attn.text.vocabulary import CharacterProcessor, WordProcessor

PROCESSORS = {processor.unit: processor for processor in (WordProcessor, CharacterProcessor, SubwordProcessor)}


def learn_text_processor(texts, unit="words", *, vocabulary_size=None, normalization=None, lower_case=False):
    """Makes the text processor of one side from its training texts.

    Args:
        texts: an iterable of strings, a string tensor or a `tf.data.Dataset` of strings.
        unit: `"words"` (and punctuation), `"characters"`, or `"subwords"`.
        vocabulary_size: how many different ids there may be at most, the four special ones included. `None` means
            10,000 words, every character that occurs, or 8,000 subwords.
        normalization: `"NFKC"`, `"NFC"`, `"NFKD"` or `"NFD"`, see `TextProcessor`. `None` means `"NFKD"` for subwords
            and `"NFKC"` otherwise.
        lower_case: whether capitals are turned into small letters.

    Returns:
        A `WordProcessor`, `CharacterProcessor` or `SubwordProcessor`.

    Raises:
        InputError: an unknown unit or normalization, no text or what is none, or a vocabulary too small for what must be in
            it.
    """
    processor = _processor(unit)
    if vocabulary_size is not None and vocabulary_size <= len(SPECIAL_TOKENS):
        raise InputError(
            f"vocabulary_size is {vocabulary_size}, but {len(SPECIAL_TOKENS)} ids are taken by "
            f"{', '.join(SPECIAL_TOKENS)}; make it {len(SPECIAL_TOKENS) + 1} or more."
        )
    if normalization is None:
        normalization = processor.default_normalization
    return processor.learn(texts, vocabulary_size, normalization=normalization, lower_case=lower_case)


def text_processor_from_config(config):
    """The text processor whose `get_config` gave this dictionary.

    Raises:
        InputError: an unknown unit, or none.
    """
    options = dict(config)
    return _processor(options.pop("unit", None))(**options)


def first_different_side(texts, others):
    """What tells the text processors of two models apart.

    Args:
        texts, others: those of source and target each.

    Returns:
        The first side on which they differ, `"source"` or `"target"`, and a clause that says how ("id 17 is 'cat' in the one
        and 'dog' in the other"); `None` where both write texts the same way and have the same tokens.
    """
    found = ((side, _first_difference(*pair)) for side, *pair in zip(("source", "target"), texts, others))
    return next(((side, difference) for side, difference in found if difference), None)


def _first_difference(one, other):
    """The clause of `first_different_side` for one side, or `None`."""
    for name in ("unit", "normalization", "lower_case"):
        here, there = getattr(one, name), getattr(other, name)
        if here != there:
            return f"{name} is {here!r} in the one and {there!r} in the other"
    for number, (here, there) in enumerate(itertools.zip_longest(one.tokens, other.tokens)):
        if here != there:
            return f"id {number} is {here!r} in the one and {there!r} in the other"
    return None


def _processor(unit):
    if unit not in PROCESSORS:
        raise InputError(f"unit is {unit!r}, but only {', '.join(map(repr, PROCESSORS))} are known.")
    return PROCESSORS[unit]


__all__ = [
    "CharacterProcessor",
    "SubwordProcessor",
    "TextProcessor",
    "WordProcessor",
    "first_different_side",
    "learn_text_processor",
    "text_processor_from_config",
]
