"""How far a figure can be trusted: what chance alone, in the choice of the test sentences, would have made of it.

Both functions count once (`keras_attn.evaluation.counts_of`) and then only add up the counts of other samples.
"""

import numpy as np

from keras_attn.errors import InputError, require_count
from keras_attn.evaluation import counts_of

SEED = 12345  # sacrebleu's


def confidence_intervals(
    outputs, references, measures, *, level=0.95, samples=1000, seed=SEED, tokenizer="13a", split=str.split
):
    """Bootstrap intervals: where the values lie on test sets drawn, with replacement, from this one.

    With the same seed and number of samples these are the samples that sacrebleu draws; it reports half the width of the
    interval, this its two ends. Where every output is right (or wrong), so is every sample, and the interval has no
    width; that is no certainty.

    Args:
        outputs, references, measures, tokenizer, split: see `keras_attn.evaluation.measure`.
        level: share of the samples that lie inside; as many of the others are below as above.
        samples: how many to draw.
        seed: of the drawing.

    Returns:
        A dictionary from the names of the measures to `(low, high)`.

    Raises:
        InputError: see `measure`; or the level is not between 0 and 1, or there is no sample.
        ImportError: see `measure`.

    Source: Efron and Tibshirani 1993, chapter 13 (the percentile interval); Koehn 2004.
    """
    if not 0 < level < 1:
        raise InputError(f"level is {level}, but it must be between 0 and 1, for example 0.95.")
    require_count(samples=samples)
    ends = [(1 - level) / 2, (1 + level) / 2]
    intervals = {}
    for name, (counts, formula, _) in counts_of(outputs, references, measures, tokenizer, split).items():
        rng, size = np.random.default_rng(seed), len(counts)
        values = [formula(counts[rng.integers(size, size=size)].sum(0)) for _ in range(samples)]
        intervals[name] = tuple(map(float, np.quantile(values, ends)))
    return intervals


def paired_test(
    outputs, baseline, references, measures, *, samples=10_000, seed=SEED, tokenizer="13a", split=str.split
):
    """Whether two systems differ by more than chance would make them differ.

    If neither was better, each pair of outputs might as well have been the other way round. So sides are drawn for every
    pair, many times; the p-value is the share of the draws in which the systems are at least as far apart, in either
    direction, as they are in truth (the true one counts as a draw). Systems with the same outputs have a p-value of 1.

    This is sacrebleu's approximate randomization, its default. Its paired bootstrap counts one direction only: it calls
    two equally good systems different twice as often as its p-value says.

    Args:
        outputs, references, measures, tokenizer, split: see `keras_attn.evaluation.measure`.
        baseline: what the other system made of the same sources, a list of strings.
        samples: how many times to draw.
        seed: of the drawing.

    Returns:
        A dictionary from the names of the measures to `{"difference": ..., "p_value": ...}`; the difference is the value
        of the outputs less that of the baseline, so below zero where an error rate is better.

    Raises:
        InputError: see `measure`; or there is no sample.
        ImportError: see `measure`.

    Source: Riezler and Maxwell 2005; Clark et al. 2011.
    """
    require_count(samples=samples)
    if len(baseline) != len(outputs):
        raise InputError(
            f"There are {len(outputs)} outputs and {len(baseline)} of the baseline; both must be of the same sources."
        )
    counted = counts_of(outputs, references, measures, tokenizer, split)
    others = counts_of(baseline, references, measures, tokenizer, split)
    tests = {}
    for name, (counts, formula, _) in counted.items():
        sums, other_sums = counts.sum(0), others[name].counts.sum(0)
        changes = others[name].counts - counts  # what a swapped pair adds to one system and takes from the other
        difference = formula(sums) - formula(other_sums)
        rng, as_far_apart = np.random.default_rng(seed), 1
        for _ in range(samples):
            swapped = changes[rng.integers(2, size=len(counts), dtype=bool)].sum(0)
            drawn = formula(sums + swapped) - formula(other_sums - swapped)
            as_far_apart += abs(drawn) >= abs(difference) - 1e-9  # equal fractions differ in their last digit
        tests[name] = {"difference": difference, "p_value": as_far_apart / (samples + 1)}
    return tests
