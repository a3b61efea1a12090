"""Batches of ids for rivals that shall see the same: words of Multi30k, or of a made-up language where that is missing."""

import collections
import gzip
import pathlib
import random
import resource
import time

from benchmarks.common import DATA, MULTI30K, Skipped

PADDING, UNKNOWN, START, END = 0, 1, 2, 3


def sentence_pairs(options):
    """Pairs of lists of words, German and English.

    Without the data, the target is the source turned round in other words, with lengths like those of Multi30k: something
    that attention has to learn.
    """
    folder = pathlib.Path(options.get("data") or DATA / "multi30k")
    if (folder / MULTI30K).is_file():
        return list(zip(*(words_of(folder / f"train.lc.norm.tok.{language}.gz") for language in ("de", "en"))))
    rng = random.Random(options["seed"])
    sources = [[f"w{int(rng.paretovariate(0.7)) % 20_000}" for _ in range(rng.randint(5, 22))] for _ in range(29_000)]
    return [(words, [word.upper() for word in reversed(words)]) for words in sources]


def words_of(path):
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [line.split() for line in lines]


def training_batches(options, like_length):
    """Lists of source, target and label ids, `{"batch", "steps", "warm_up", "vocabulary", "seed"}` of them.

    Args:
        options: a dictionary. With `"padded_to"`, all are padded to that many tokens, and longer pairs are left out.
        like_length: whether sentences of like length share a batch, as ours do by default.
    """
    pairs = sentence_pairs(options)
    sources, targets = (ids_of(side, options["vocabulary"]) for side in zip(*pairs))
    length = options.get("padded_to")
    # There is an end token, too.
    fits = lambda index: length is None or max(len(sources[index]), len(targets[index])) < length
    rng = random.Random(options["seed"])
    order = [*filter(fits, range(len(pairs)))]
    rng.shuffle(order)
    batch = options["batch"]
    if like_length:
        window = 50 * batch
        lengths = lambda index: (len(sources[index]), len(targets[index]))
        order = [i for at in range(0, len(order), window) for i in sorted(order[at : at + window], key=lengths)]
    groups = [order[at : at + batch] for at in range(0, len(order) - batch + 1, batch)]
    if like_length:
        rng.shuffle(groups)
    if not groups:
        raise Skipped(f"there are no {batch} sentences for a batch")
    wanted = options["warm_up"] + options["steps"] * options["rounds"]
    groups = [groups[number % len(groups)] for number in range(wanted)]
    return [_batch([sources[i] for i in group], [targets[i] for i in group], length) for group in groups]


def vocabulary_of(side, size):
    """The words of the ids that are left beside the special ones, the most frequent first."""
    counts = collections.Counter(word for sentence in side for word in sentence)
    return [word for word, _ in counts.most_common(size - END - 1)]


def ids_of(side, size):
    """Each sentence as ids, see `vocabulary_of`."""
    ids = {word: number for number, word in enumerate(vocabulary_of(side, size), END + 1)}
    return [[ids.get(word, UNKNOWN) for word in sentence] for sentence in side]


def _batch(sources, targets, length):
    import numpy as np

    def padded(rows):
        width = length or max(map(len, rows))
        return np.array([[*row, *[PADDING] * (width - len(row))] for row in rows], "int32")

    return (
        padded([[*row, END] for row in sources]),
        padded([[START, *row] for row in targets]),
        padded([[*row, END] for row in targets]),
    )


def training_measurement(options, fit, parameters):
    """What a rival in training gives to `serve`.

    Args:
        options: a dictionary.
        fit: a function that makes a step on each batch of a list, and returns the mean loss of their real tokens.
        parameters: how many the model has.
    """
    batches = training_batches(options, options["like_length"])
    fit(batches[: options["warm_up"]])
    rest = iter(range(options["warm_up"], len(batches), options["steps"]))

    def measure():
        at = next(rest)
        part = batches[at : at + options["steps"]]
        started = time.perf_counter()
        loss = fit(part)
        return {
            "tokens_per_second": real_tokens(part) / (time.perf_counter() - started),
            "loss": loss,
            "parameters": parameters,
            "peak_megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        }

    return measure


def real_tokens(batches):
    return sum(int((labels != PADDING).sum()) for _, _, labels in batches)
