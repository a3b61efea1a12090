"""What a shortlist is made of: for each source token the target tokens that it can become, learned from pairs."""

import itertools
import random

import numpy as np
import tensorflow as tf

from keras_attn.decoding import Shortlist
from keras_attn.errors import InputError, require_count
from keras_attn.ids import END, SPECIAL_TOKENS
from keras_attn.text.given import drawn
from keras_attn.text.sequences import ragged_sources

CANDIDATES, FREQUENT = 20, 100

# How many pairs are looked at, and how many links there are between their tokens, of some fifty bytes each.
_PAIRS, _LINKS = 100_000, 20_000_000

# How often the probabilities are shared out anew.
_ROUNDS = 5


def learn_shortlist(pairs, source_text, target_text, candidates=CANDIDATES, frequent=FREQUENT):
    """What each source token can become.

    A pair is taken as if each target token came from one source token, from any with the same probability, and these
    probabilities are shared out until they fit: IBM model 1. The source's end token stands for what has no counterpart;
    its own candidates are the most frequent target tokens.

    Args:
        pairs: an iterable of `(source, target)`; of more than 100,000, as many are drawn, and fewer of long ones.
        source_text, target_text: text processors.
        candidates: target tokens for each source token, the most probable.
        frequent: how many of the most frequent ones the end token gets.

    Returns:
        A dictionary `{source token: [target token, ...]}`, the most probable first, for the `shortlist` of `Translator`.

    Raises:
        InputError: there are no pairs, or a number is negative.

    Source: Brown et al. 1993 (Computational Linguistics 19, 2), section 4.2.
    """
    require_count(0, candidates=candidates, frequent=frequent)
    pairs = drawn(pairs, _PAIRS)
    if not pairs:
        raise InputError("There are no pairs to learn a shortlist from; give one at least.")
    random.Random(0).shuffle(pairs)  # files are often sorted by length
    sources, targets = map(tf.constant, zip(*pairs))
    sources, targets = ragged_sources(source_text, sources), target_text.to_ids(targets)
    entries = _model_1(*_links(sources, targets), target_text.vocabulary_size)
    found = _best(*entries, candidates) | {END: _most_frequent(targets.flat_values.numpy(), frequent)}
    source_tokens, target_tokens = source_text.tokens, target_text.tokens
    return {source_tokens[source]: [target_tokens[each] for each in ids] for source, ids in sorted(found.items())}


def shortlist_of(tokens, source_text, target_text):
    """The `Shortlist` of what `learn_shortlist` returns.

    Raises:
        InputError: one of them has no such token, or it is no dictionary of lists of tokens.
    """
    if not isinstance(tokens, dict):
        raise InputError(
            f"A shortlist is a dictionary of lists of target tokens, but this is a {type(tokens).__name__}."
        )
    for token, found in tokens.items():
        if not (isinstance(found, list) and all(isinstance(each, str) for each in found)):
            raise InputError(f"The shortlist has {found!r} for {token!r}, but it must be a list of target tokens.")
    ids = [{token: id for id, token in enumerate(text.tokens)} for text in (source_text, target_text)]
    sides = ("source", tokens), ("target", itertools.chain.from_iterable(tokens.values()))
    for known, (side, named) in zip(ids, sides):
        for token in named:
            if token not in known:
                raise InputError(
                    f"The shortlist has {token!r} on the {side} side, which is no token of the model; make it anew with "
                    f"the text processors of this model."
                )
    candidates = [[] for _ in source_text.tokens]
    for token, found in tokens.items():
        candidates[ids[0][token]] = [ids[1][each] for each in found]
    return Shortlist(candidates, target_text.vocabulary_size)


def _links(sources, targets):
    """Each target token beside each source token of its pair, up to `_LINKS` of them.

    Args:
        sources, targets: ragged ids `(pairs, None)`.

    Returns:
        For each link the number of the target token among all, its id and the source id: three arrays.
    """
    pair = targets.value_rowids().numpy()
    count = sources.row_lengths().numpy()[pair]
    fits = np.cumsum(count) <= _LINKS
    pair, count = pair[fits], count[fits]
    token = np.repeat(np.arange(len(pair)), count)
    within = np.arange(len(token)) - np.repeat(np.cumsum(count) - count, count)
    source = sources.flat_values.numpy()[np.repeat(sources.row_starts().numpy()[pair], count) + within]
    return token, targets.flat_values.numpy()[token], source


def _model_1(token, target, source, target_vocabulary_size):
    """The probabilities of target ids, given source ids, that are linked anywhere: three arrays, source id, target id,
    probability."""
    links, link = np.unique(source.astype("int64") * target_vocabulary_size + target, return_inverse=True)
    source, target = np.divmod(links, target_vocabulary_size)
    probability = np.ones(len(links))
    for _ in range(_ROUNDS):
        share = probability[link]
        share /= np.bincount(token, share)[token]
        count = np.bincount(link, share)
        probability = count / np.bincount(source, count)[source]
    return source, target, probability


def _best(source, target, probability, count):
    """For each source id the most probable target ids, the best first, without special tokens."""
    order = np.lexsort((-probability, source))
    order = order[target[order] >= len(SPECIAL_TOKENS)]
    groups = itertools.groupby(order, key=source.__getitem__)
    return {int(each): [int(target[place]) for place in itertools.islice(places, count)] for each, places in groups}


def _most_frequent(ids, count):
    counts = np.bincount(ids)
    counts[: len(SPECIAL_TOKENS)] = 0
    return [int(each) for each in np.argsort(-counts, kind="stable")[:count] if counts[each]]
