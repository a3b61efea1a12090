"""From attention weights to word alignments: which source word each target word came from.

A link is a pair `(source, target)` of positions that count from 0; an alignment is a list of links, sorted by source
and then by target. Everywhere the end tokens have been cut off: they are no words.
"""

import itertools
import re
from typing import Any, NamedTuple

import numpy as np

from keras_attn.errors import InputError

METHODS = ("intersection", "union", "grow-diag", "grow-diag-final", "grow-diag-final-and")

# As (target, source), in the order of Moses: first the four sides, then the four corners.
_NEIGHBOURS = ((-1, 0), (0, -1), (1, 0), (0, 1), (-1, -1), (-1, 1), (1, -1), (1, 1))

# What SentencePiece writes for a space, at the beginning of a piece.
_SPACE = "▁"


def hard_alignment(attention):
    """Links each target token to the source token with the largest weight, the leftmost where several are equal.

    Args:
        attention: `(target_length, source_length)`.

    Returns:
        A sorted list of `(source, target)`, one for each target token. One whose weights are all zero has none.

    Raises:
        InputError: the attention has not two dimensions.
    """
    attention = _two_dimensional(attention)
    return sorted((int(weights.argmax()), target) for target, weights in enumerate(attention) if weights.any())


def agreement(forward, backward):
    """How far two models agree on each link: the geometric mean of their weights.

    The product of the two, as in the source, is high only where both are; its square root is on the scale of a weight
    again. The rows need not add up to one.

    Args:
        forward: `(target_length, source_length)`, from the model that writes the target.
        backward: `(source_length, target_length)`, from the model that writes the source.

    Returns:
        `(target_length, source_length)`.

    Raises:
        InputError: the shapes do not fit.

    Source: Liang, Taskar and Klein 2006, "Alignment by agreement", section 3.
    """
    forward, backward = _two_dimensional(forward), _two_dimensional(backward)
    if forward.shape != backward.shape[::-1]:
        raise InputError(
            f"The forward attention has the shape {forward.shape} and the backward one {backward.shape}; give the "
            f"backward one with a row for each source token and a column for each target token, {forward.shape[::-1]}."
        )
    return np.sqrt(forward * backward.T)


def symmetrize(forward, backward, method="grow-diag-final-and"):
    """Joins the alignments of two models, one for each direction.

    `"intersection"` has the links of both, `"union"` those of either. `"grow-diag"` begins with the intersection and
    takes from the union, as long as there are any, links beside one that it has, also diagonally, of which a word has
    none yet. `"grow-diag-final"` then takes each link of which a word has none yet, those of `forward` first;
    `"grow-diag-final-and"` only where neither word has one. What is taken depends on the order of looking, which is
    that of Moses: target by target.

    Args:
        forward, backward: iterables of `(source, target)`, both this way round.
        method: one of `METHODS`.

    Returns:
        A sorted list of `(source, target)`.

    Raises:
        InputError: an unknown method.

    Source: Och and Ney 2003, section 4; Koehn, Och and Marcu 2003; Koehn et al. 2005 for the pseudocode; the last is
    Moses's own (symal).
    """
    if method not in METHODS:
        raise InputError(f"method is {method!r}, but only {', '.join(map(repr, METHODS))} are known.")
    forward, backward = set(map(tuple, forward)), set(map(tuple, backward))
    if method == "union":
        return sorted(forward | backward)
    links = forward & backward
    if method.startswith("grow-diag"):
        _grow(links, forward | backward)
    if "final" in method:
        enough = all if method == "grow-diag-final-and" else any
        for link in (*_by_target(forward), *_by_target(backward)):
            if enough(_without_link(link, links)):
                links.add(link)
    return sorted(links)


def _grow(links, union):
    """Adds to the links what lies beside one of them, until nothing does."""
    size = None
    while size != len(links):
        size = len(links)
        for source, target in _by_target(union):
            for down, across in _NEIGHBOURS if (source, target) in links else ():
                neighbour = (source + across, target + down)
                if neighbour in union and any(_without_link(neighbour, links)):
                    links.add(neighbour)


def _by_target(links):
    return sorted(links, key=lambda link: link[::-1])


def _without_link(link, links):
    """Whether the source word has no link yet, and whether the target word has none."""
    return [all(other[side] != link[side] for other in links) for side in (0, 1)]


def to_pharaoh(links):
    """Writes links as `0-0 1-2`: source, a hyphen, target, sorted by source and then by target.

    fast_align and Moses write the same in the order of the target; who reads the format does not mind the order.
    """
    return " ".join(f"{source}-{target}" for source, target in sorted(links))


def from_pharaoh(line):
    """Reads links such as `0-0 1-2`, in any order.

    Returns:
        A sorted list of `(source, target)`.

    Raises:
        InputError: something between two spaces is no link.
    """
    links = set()
    for item in line.split():
        if not re.fullmatch("[0-9]+-[0-9]+", item):
            raise InputError(
                f"{item!r} is no link; write a link as source-target, two positions that count from 0, such as 0-2."
            )
        links.add(tuple(map(int, item.split("-"))))
    return sorted(links)


def word_of_token(tokens, unit):
    """The number of the word, between spaces, that each token belongs to.

    Args:
        tokens: list of strings, as in `keras_attn.translation.Translation`, without the end token.
        unit: `"words"`: each token is a word, punctuation too. `"subwords"`: a piece that begins with `▁` begins a
            word, and a `▁` alone belongs to the word after it. `"characters"`: spaces are between the words.

    Returns:
        A list with a number from 0 for each token, or `None` for one of no word: a space among characters, or a `▁`
        with nothing after it.

    Raises:
        InputError: an unknown unit.
    """
    if unit == "words":
        return list(range(len(tokens)))
    if unit == "characters":
        outside = [token.isspace() for token in tokens]
        begins = [not space and space_before for space, space_before in zip(outside, [True, *outside])]
    elif unit == "subwords":
        length = len(tokens)
        while length and tokens[length - 1] == _SPACE:
            length -= 1
        outside = [position >= length for position in range(len(tokens))]
        begins = [
            before is None or (token.startswith(_SPACE) and before != _SPACE)
            for before, token in zip([None, *tokens], tokens)
        ]
    else:
        raise InputError(f"unit is {unit!r}, but only 'words', 'characters' and 'subwords' are known.")
    return [None if no_word else count - 1 for no_word, count in zip(outside, itertools.accumulate(begins))]


def words_of(tokens, numbers):
    """The words that tokens make up: strings, in the order of their numbers from `word_of_token`."""
    words = [""] * _count(numbers)
    for token, number in zip(tokens, numbers):
        if number is not None:
            words[number] += token
    return [word.lstrip(_SPACE) or word for word in words]


def merge(attention, source_words, target_words):
    """Attention between words, from attention between tokens.

    The weights of the tokens of a source word are added up, and the rows of the tokens of a target word are averaged,
    so that a row still adds up to what it did. A token of no word is left out: on the target side its row, on the
    source side its weights, which a row then lacks.

    Args:
        attention: `(target_length, source_length)`.
        source_words, target_words: for each token the number of its word, see `word_of_token`.

    Returns:
        `(number of target words, number of source words)`.

    Raises:
        InputError: there is not a number for each token.

    Source: Clark et al. 2019 (arXiv 1906.04341), section 4.1, for the words that BERT splits.
    """
    attention = _two_dimensional(attention)
    if attention.shape != (len(target_words), len(source_words)):
        raise InputError(
            f"attention has the shape {attention.shape}, but there are words for {len(target_words)} target tokens and "
            f"{len(source_words)} source tokens; give a row for each target token and a column for each source token."
        )
    source, target = _membership(source_words), _membership(target_words)
    return target @ attention @ source.T / np.maximum(target.sum(1, keepdims=True), 1)


def _count(numbers):
    return max((number + 1 for number in numbers if number is not None), default=0)


def _membership(numbers):
    """Whether a token is part of a word: boolean `(number of words, number of tokens)`."""
    words = np.arange(_count(numbers))[:, None]
    return np.equal(words, [-1 if number is None else number for number in numbers])


def _two_dimensional(attention):
    attention = np.asarray(attention)
    if attention.ndim != 2:
        raise InputError(
            f"The attention has the shape {attention.shape}; give that of one sentence, target tokens by source tokens."
        )
    return attention


class Alignment(NamedTuple):
    """How a target goes back to its source.

    Fields:
        source, target: their words or tokens, lists of strings.
        links: a sorted list of `(source, target)` positions.
        weights: `(len(target), len(source))`, attention weights, or the `agreement` of two models.
    """

    source: list
    target: list
    links: list
    weights: Any

    @property
    def pharaoh(self):
        """The links as `to_pharaoh` writes them."""
        return to_pharaoh(self.links)


def align(translator, pairs, reverse=None, method="grow-diag-final-and", level=None):
    """Aligns sources with given targets by what a model looks at while it is given the target.

    Args:
        translator: `Translator`.
        pairs: an iterable of `(source, target)` strings.
        reverse: optional `Translator` of the other direction, to symmetrise with.
        method: one of `METHODS`, how the alignments of two models are joined.
        level: `"words"`, those between spaces (or with the unit `"words"` the model's own), or `"tokens"`. `None`: tokens
            where both sides of the model have characters, otherwise words.

    Yields:
        An `Alignment` for each pair, in order.

    Raises:
        InputError: an unknown method or level, or the two models cut a pair into different words.
    """
    if method not in METHODS:
        raise InputError(f"method is {method!r}, but only {', '.join(map(repr, METHODS))} are known.")
    if level not in (None, "words", "tokens"):
        raise InputError(f"level is {level!r}, but only 'words' and 'tokens' are known.")
    if level is None:
        units = {translator.source_text.unit, translator.target_text.unit}
        level = "tokens" if units == {"characters"} else "words"
    if reverse is None:
        yield from _alignments(translator, pairs, level)
        return
    pairs, turned = itertools.tee(pairs)
    forward = _alignments(translator, pairs, level)
    backward = _alignments(reverse, ((target, source) for source, target in turned), level)
    for number, (one, other) in enumerate(zip(forward, backward), 1):
        if (len(one.source), len(one.target)) != (len(other.target), len(other.source)):
            raise InputError(
                f"Pair {number} is cut into {len(one.source)} and {len(one.target)} {level} by the one model and into "
                f"{len(other.target)} and {len(other.source)} by the other; align on another level, or with models of one "
                f"unit."
            )
        links = symmetrize(one.links, [(source, target) for target, source in other.links], method)
        yield one._replace(links=links, weights=agreement(one.weights, other.weights))


def _alignments(translator, pairs, level):
    for scored in translator.stream_scores(pairs):
        source, target = scored.source_tokens[:-1], scored.tokens
        weights = scored.attention[:, :-1]
        if level == "words":
            numbers = [
                word_of_token(tokens, processor.unit)
                for tokens, processor in ((source, translator.source_text), (target, translator.target_text))
            ]
            weights = merge(weights, *numbers)
            source, target = map(words_of, (source, target), numbers)
        yield Alignment(source, target, hard_alignment(weights), weights)
