"""What the rivals of `benchmarks.decoding` decode, and how their outputs are counted."""

import pathlib
import time

import numpy as np

from benchmarks import data
from benchmarks.common import DATA
from benchmarks.data import END, PADDING

WIDTH, LENGTH_PENALTY = 5, 1.0
GREEDY, BEAM = "greedy", f"beam-{WIDTH}"

# No output of a trained model is longer; far beyond the references, of which the longest has 31 words.
LIMIT = 50


def source_batches(options):
    """Source ids `(batch, source_length)`, sentences of like length together, the shortest first."""
    known = [source for source, _ in data.sentence_pairs(options)]
    path = pathlib.Path(options.get("data") or DATA / "multi30k") / "test_2016_flickr.lc.norm.tok.de.gz"
    sentences = data.words_of(path) if path.is_file() else known
    ids = _ids_of_words(known, options["vocabulary"])
    rows = [[*(ids.get(word, data.UNKNOWN) for word in words), END] for words in sentences[: options["sentences"]]]
    rows.sort(key=len)
    return [_padded(rows[at : at + options["batch"]]) for at in range(0, len(rows), options["batch"])]


def _ids_of_words(sentences, size):
    """The same that `training_batches` gives the words."""
    rows = data.ids_of(sentences, size)
    return {word: number for words, row in zip(sentences, rows) for word, number in zip(words, row)}


def _padded(rows):
    return np.array([row + [PADDING] * (max(map(len, rows)) - len(row)) for row in rows], "int32")


def batches_to_learn_from(options):
    """As many as were asked for; none, and the weights stay random."""
    if not options["trained"]:
        return []
    return data.training_batches(options | {"steps": options["trained"], "rounds": 1, "warm_up": 0}, like_length=True)


def limit(options):
    """Tokens of an output at most, its end token included."""
    return LIMIT if options["trained"] else options["length"]


def one_after_the_other(search, batches):
    return [search(batch) for batch in batches]


def measurement(options, searches, go_through=one_after_the_other):
    """What a rival gives to `serve`.

    Args:
        options: a dictionary.
        searches: from the name of a search to a function from source ids to output ids, both NumPy arrays.
        go_through: what takes such a function to all batches.
    """
    batches = source_batches(options)
    for search in searches.values():
        for number in {0, len(batches) // 2, len(batches) - 1}:
            search(batches[number])

    def measured(search):
        started = time.perf_counter()
        outputs = go_through(search, batches)
        seconds = time.perf_counter() - started
        sentences, tokens = sum(map(len, batches)), sum(map(count_tokens, outputs))
        return {
            "sentences_per_second": sentences / seconds,
            "tokens_per_second": tokens / seconds,
            "output_tokens": tokens,
            "tokens_per_sentence": tokens / sentences,
        }

    return lambda: {name: measured(search) for name, search in searches.items()}


def count_tokens(outputs):
    """Tokens up to the first end token of each row, and that itself."""
    ends = outputs == END
    after_the_end = ends.cumsum(1) - ends > 0
    return int(((outputs != PADDING) & ~after_the_end).sum())
