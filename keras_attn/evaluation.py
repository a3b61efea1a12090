"""How good the outputs are, against the right answers: one number for all of them, or one for each source length.

Every measure counts something in each output and makes its value of the sums of these counts: sacrebleu counts n-grams
for BLEU and chrF, a rate counts errors and what they are divided by. So the value for the sources of one length, and for
the samples that `keras_attn.significance` draws, comes from other sums of the same counts.
"""

from collections.abc import Callable, Mapping
from itertools import count, zip_longest
from typing import NamedTuple

import numpy as np

from keras_attn.errors import InputError, imported

_SHARES, _BY_SACREBLEU = ("exact_match", "sequence_error_rate"), ("bleu", "chrf")
_EDIT_RATES = ("token_error_rate", "word_error_rate", "phone_error_rate", "character_error_rate")
MEASURES = (*_SHARES, *_BY_SACREBLEU, *_EDIT_RATES)

# What a kind of output is measured by. A dictionary goes from the name in the results to the measure: whoever works on
# pronunciations calls the share of wrong words the word error rate, a pronunciation being the sequence of one word.
PRESETS = {
    "text": ("exact_match", "bleu", "chrf", "word_error_rate", "token_error_rate"),
    "strings": ("exact_match", "character_error_rate"),
    "pronunciations": {"word_error_rate": "sequence_error_rate", "phone_error_rate": "phone_error_rate"},
}

BLEU_TOKENIZERS = ("13a", "intl", "char", "zh", "none")

_MOST_RANGES, _LEAST_SHARE = 6, 1 / 20


def exact_match(outputs, references):
    """Share of the outputs, from 0 to 1, that equal one of their references to the letter.

    Args:
        outputs: a list of strings.
        references: for each output a string, or a list of one or more strings.

    Raises:
        InputError: the lists differ in length or are empty, or an output has no reference.
    """
    return measure(outputs, references, ["exact_match"])["exact_match"]


def bleu_and_chrf(outputs, references, tokenizer="13a"):
    """BLEU and chrF of the whole list, from 0 to 100, by sacrebleu.

    Args:
        outputs, references: as in `exact_match`.
        tokenizer: how sacrebleu cuts the words of BLEU: `"13a"` (most languages), `"intl"`, `"char"`, `"zh"`, or
            `"none"` for texts that are tokenised already.

    Returns:
        A dictionary with `bleu`, `chrf`, and sacrebleu's signature of each, which tells how it was measured.

    Raises:
        InputError: as in `exact_match`, or the tokenizer is unknown.
        ImportError: sacrebleu is not installed.

    Source: Papineni et al. 2002; Popović 2015; Post 2018 (sacrebleu).
    """
    return measure(outputs, references, ["bleu", "chrf"], tokenizer=tokenizer)


def token_error_rate(outputs, references, split=str.split):
    """Edits that turn the outputs into their closest references, divided by the tokens of these references.

    An edit inserts, deletes or replaces a token (Levenshtein). The closest reference is the one with the fewest edits,
    and of several the longest. The rate is 0 where nothing is wrong and may go above 1. Where the closest references have
    no tokens at all, the edits are divided by 1.

    Args:
        outputs, references: as in `exact_match`.
        split: what cuts a text into its tokens: `str.split` for words, or for phones with spaces between; `list` for
            characters (Unicode's code points, spaces among them); or the tokenizer of a text processor.

    Raises:
        InputError: as in `exact_match`.
        ImportError: rapidfuzz is not installed.
    """
    return measure(outputs, references, ["token_error_rate"], split=split)["token_error_rate"]


def measure(outputs, references, measures, *, tokenizer="13a", split=str.split):
    """What the measures say of all outputs together.

    | measure | what it is | range |
    | --- | --- | --- |
    | `exact_match` | share of the outputs that equal one of their references | 0 to 1 |
    | `sequence_error_rate` | share of those that equal none | 0 to 1 |
    | `bleu`, `chrf` | see `bleu_and_chrf` | 0 to 100 |
    | `token_error_rate` | see `token_error_rate`; tokens are what `split` makes | from 0 |
    | `word_error_rate` | the same, of words, as in speech recognition | from 0 |
    | `phone_error_rate` | the same, of phones with spaces between | from 0 |
    | `character_error_rate` | the same, of characters | from 0 |

    Args:
        outputs, references: as in `exact_match`.
        measures: names of measures, or a preset:
            `"text"`: `exact_match`, `bleu`, `chrf`, `word_error_rate`, `token_error_rate`;
            `"strings"`: `exact_match`, `character_error_rate`;
            `"pronunciations"`, as CMUdict is measured: `word_error_rate`, which here is the share of words whose
            output equals none of their pronunciations (`sequence_error_rate`), and `phone_error_rate`.
        tokenizer: see `bleu_and_chrf`.
        split: see `token_error_rate`.

    Returns:
        A dictionary from names to values; beside `bleu` and `chrf`, sacrebleu's `bleu_signature` and `chrf_signature`.

    Raises:
        InputError: as in `exact_match`, or a measure or the tokenizer is unknown.
        ImportError: sacrebleu or rapidfuzz is needed and not installed.
    """
    counted = counts_of(outputs, references, measures, tokenizer, split)
    values = {name: counts.value() for name, counts in counted.items()}
    return values | {f"{name}_signature": counts.signature for name, counts in counted.items() if counts.signature}


def by_length(outputs, references, lengths, measures, *, bounds=None, tokenizer="13a", split=str.split):
    """What the measures say of the outputs for short sources, for longer ones, and so on.

    Args:
        outputs, references, measures, tokenizer, split: see `measure`.
        lengths: how many tokens the source of each output has, whole numbers.
        bounds: the lengths at which a range ends, ascending: `[10, 20]` makes up to 10, 11 to 20, and above 20. `None`
            takes the narrowest of the round widths 1, 2, 5, 10, 20, 50, ... that leads to no more than six ranges, after
            a range with less than one in twenty of the sources has been joined with the next one.

    Returns:
        A list of dictionaries, one for each range that has a source in it: `from` and `to`, the least and the greatest
        length that belong to it (of the first and last range, that there are); `sources`, how many; and the measures.

    Raises:
        InputError: see `measure`; or there is not one length for each output, or the bounds do not ascend.
    """
    counted = counts_of(outputs, references, measures, tokenizer, split)
    lengths = np.asarray(lengths)
    if lengths.shape != (len(outputs),) or lengths.dtype.kind not in "iu":
        raise InputError(
            f"There are {len(outputs)} outputs and {lengths.size} lengths ({lengths.dtype}); give the length of each "
            f"source, a whole number."
        )
    ends = _round_ends(lengths) if bounds is None else [*bounds]
    if any(int(end) != end for end in ends) or ends != sorted(set(ends)):
        raise InputError(f"bounds is {ends}; give whole numbers, each above the one before.")
    least, most = int(lengths.min()), int(lengths.max())
    ends = [int(end) for end in ends if least <= end < most] + [most]
    rows = []
    for start, end in zip([least, *(end + 1 for end in ends)], ends):
        inside = (start <= lengths) & (lengths <= end)
        if inside.any():
            values = {name: counts.value(inside) for name, counts in counted.items()}
            rows.append({"from": start, "to": end, "sources": int(inside.sum()), **values})
    return rows


def _round_ends(lengths):
    """The ends of ranges of round width that hold a fair share of the sources, the last one's left out."""
    for width in (digit * 10**zeros for zeros in count() for digit in (1, 2, 5)):
        groups = -(-lengths // width)  # 1 to 10 are one group of width 10
        ends, waiting, left = [], 0, len(lengths)
        for group, sources in zip(*np.unique(groups, return_counts=True)):
            waiting, left = waiting + sources, left - sources
            if min(waiting, left) >= _LEAST_SHARE * len(lengths):
                ends.append(int(group) * width)
                waiting = 0
        if len(ends) < _MOST_RANGES:
            return ends


def normalized_references(references, target_text):
    """Right answers as a model writes that was trained on what this text processor makes of texts.

    Args:
        references: for each output a list of strings.
        target_text: text processor.
    """
    flat = [text for texts in references for text in texts]
    written = iter(target_text.as_written(flat).numpy().tolist())
    return [[next(written).decode() for _ in texts] for texts in references]


def tokenizer_of(target_text, *lists):
    """What cuts texts as a text processor does, for `split` of the measures.

    Args:
        target_text: text processor.
        *lists: lists of all strings that there are to cut.
    """
    texts = sorted({text for texts in lists for text in texts})
    return dict(zip(texts, target_text.to_ids(texts).to_list())).__getitem__


class Counts(NamedTuple):
    """What a measure counts in each output, `(outputs, kinds)`, and what makes its value of the sums."""

    counts: np.ndarray
    formula: Callable
    signature: str | None = None

    def value(self, chosen=slice(None)):
        """The value for the chosen outputs, or for all."""
        return self.formula(self.counts[chosen].sum(0))


def counts_of(outputs, references, measures, tokenizer, split):
    """What each measure counts; see `measure` for the arguments and errors.

    Returns:
        A dictionary from names to `Counts`.
    """
    references = _reference_lists(outputs, references)
    splits = {"token_error_rate": split, "character_error_rate": list}
    counted = {}
    for name, kind in _chosen(measures).items():
        if kind in _BY_SACREBLEU:
            counted[name] = _count_ngrams(kind, outputs, references, tokenizer)
        elif kind in _SHARES:
            counted[name] = _count_matches(outputs, references, of_interest=kind == "exact_match")
        else:
            counted[name] = _count_edits(outputs, references, splits.get(kind, str.split))
    return counted


def _count_matches(outputs, references, of_interest):
    counts = [((output in known) == of_interest, 1) for output, known in zip(outputs, references)]
    return Counts(np.array(counts, "int64"), _rate)


def _count_edits(outputs, references, split):
    distance = imported("rapidfuzz", "Measuring an error rate").distance.Levenshtein.distance
    counts = []
    for output, known in zip(outputs, references):
        tokens = list(split(output))
        lengths_and_edits = [(distance(tokens, right), len(right)) for right in map(list, map(split, known))]
        counts.append(min(lengths_and_edits, key=lambda pair: (pair[0], -pair[1])))
    return Counts(np.array(counts, "int64"), _rate)


def _rate(sums):
    return float(sums[0] / max(sums[1], 1))


def _count_ngrams(kind, outputs, references, tokenizer):
    """Sacrebleu's own counts, and its own formula; its significance tests work on the same two."""
    if tokenizer not in BLEU_TOKENIZERS:
        raise InputError(f"tokenizer is {tokenizer!r}, but only {', '.join(map(repr, BLEU_TOKENIZERS))} are known.")
    metrics = imported("sacrebleu", "Measuring BLEU and chrF").metrics
    # force: the reference is what it is; sacrebleu would warn that a tokenised one looks tokenised.
    metric = metrics.BLEU(tokenize=tokenizer, force=True) if kind == "bleu" else metrics.CHRF()
    streams = list(zip_longest(*references))  # None where an output has fewer references than another
    counts = np.array(metric._extract_corpus_statistics(outputs, streams), "int64")
    return Counts(
        counts, lambda sums: metric._compute_score_from_stats(sums.tolist()).score, str(metric.get_signature())
    )


def _chosen(measures):
    """Names in the results, and the measure behind each."""
    if isinstance(measures, str):
        if measures not in PRESETS:
            raise InputError(f"{measures!r} is no preset; known are {', '.join(PRESETS)}, or give a list of measures.")
        measures = PRESETS[measures]
    if not isinstance(measures, Mapping):
        measures = {name: name for name in measures}
    for name in (*measures, *measures.values()):
        if name not in MEASURES:
            raise InputError(f"{name!r} is no measure; known are {', '.join(MEASURES)}.")
    return measures


def _reference_lists(outputs, references):
    """The references of each output as a list of strings, one at least."""
    if len(outputs) != len(references) or len(outputs) == 0:
        raise InputError(
            f"There are {len(outputs)} outputs and {len(references)} references; there must be as many, and at least one."
        )
    lists = [list(known) if isinstance(known, (list, tuple)) else [known] for known in references]
    for number, (output, known) in enumerate(zip(outputs, lists), 1):
        if not known:
            raise InputError(f"Output {number} has no reference; each must have one or more.")
        for text in (output, *known):
            if not isinstance(text, str):
                raise InputError(f"Output {number} or a reference of it is {text!r}; each must be a string.")
    return lists
