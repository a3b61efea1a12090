"""N-best lists, put in another order by what a model thinks of each target."""

import itertools
import math
import re
from typing import NamedTuple

from keras_attn.errors import InputError

# The words of `LM0= -12.3 TM0= -1 -2`; older versions have `lm:`.
_FEATURE = re.compile(r"\S+[=:]|[-+]?[\d.]+([eE][-+]?\d+)?")


class Candidate(NamedTuple):
    """A line of an n-best list.

    Fields:
        source: number of the source that it translates, from 0.
        text: the target text.
        score: how good it is; the higher, the better.
    """

    source: int
    text: str
    score: float


def read_n_best(lines, name="the n-best list"):
    """Candidates from lines `INDEX ||| TEXT ||| ... ||| SCORE`, the form of Moses; features between text and score, numbers with
    or without names, are passed over. (Anything else there is the rest of a text that has the sign `|||` in it.)

    Args:
        lines: an iterable of strings.
        name: what to call it in an error.

    Yields:
        `Candidate`.

    Raises:
        InputError: a line is not in that form.
    """
    for number, line in enumerate(lines, 1):
        try:
            index, text, *features, score = (part.strip() for part in line.split("|||"))
            candidate = Candidate(int(index), text, float(score))
            if not (math.isfinite(candidate.score) and all(map(_FEATURE.fullmatch, " ".join(features).split()))):
                raise ValueError
        except ValueError:
            raise InputError(f"{name}, line {number} is not INDEX ||| TEXT ||| SCORE, but {line!r}.") from None
        yield candidate


def rescore(translator, sources, candidates, weight=1.0):
    """An n-best list in the order that another model gives it.

    Args:
        translator: `Translator`.
        sources: a list of strings.
        candidates: an iterable of `Candidate`, those of a source one after the other.
        weight: how much the new log-probability counts, from 0 to 1; the old score counts for the rest.

    Yields:
        For each source that has candidates, a list of `Candidate`, the best first.

    Raises:
        InputError: the weight is out of its range, or a candidate has a source that is not there.
    """
    if not 0 <= weight <= 1:
        raise InputError(f"weight is {weight}, but it must be from 0 to 1.")
    candidates, again = itertools.tee(candidates)
    scored = translator.stream_scores((_source_of(candidate, sources), candidate.text) for candidate in again)
    rescored = (
        candidate._replace(score=weight * each.log_probability + (1 - weight) * candidate.score)
        for candidate, each in zip(candidates, scored)
    )
    for _, group in itertools.groupby(rescored, key=lambda candidate: candidate.source):
        yield sorted(group, key=lambda candidate: -candidate.score)


def _source_of(candidate, sources):
    if not 0 <= candidate.source < len(sources):
        raise InputError(f"A candidate is for source {candidate.source}, but there are {len(sources)}, counted from 0.")
    return sources[candidate.source]
