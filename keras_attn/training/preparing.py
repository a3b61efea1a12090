"""What a training run starts from: its pairs, its text processors and its batches."""

import itertools
import pathlib

from keras_attn.data import Split, batches, date_pairs, download_pairs, read_parallel, read_references
from keras_attn.data.batches import Batches
from keras_attn.data.pairs import Stream, stream_parallel, stream_tsv
from keras_attn.data.split import stream_split
from keras_attn.text import learn_text_processor

# Fewer subwords where there is less to learn them from.
_PAIRS_FOR_A_SUBWORD, _SUBWORDS = 4, (1_000, 8_000)


def load_parts(config):
    """The pairs that the configuration names, as a `Split`; those to train on are read anew each time.

    A target to test against is a list of them where the file says so. The seed of the configuration decides nothing here:
    runs that differ by it are measured on the same pairs, and none has seen in training what another holds out.
    """
    turn = _reversed if config.reverse else iter
    if config.dataset == "dates":
        return Split(*(list(turn(part)) for part in date_pairs(train=config.pairs or 30_000)))
    given = {
        part: list(turn(read_parallel(*_files(config, f"{part}_source", f"{part}_target"))))
        for part in ("validation", "test")
        if getattr(config, f"{part}_source") is not None
    }
    if config.test_references is not None:
        given["test"] = read_references(*_files(config, "test_references"))
    # What must not be in two parts is the sentence that the model reads: turned, and in small letters if it is to see those.
    every = _pairs(config)
    used = Stream(lambda: turn(itertools.islice(every, config.pairs)))
    parts = stream_split(used, **dict.fromkeys(given, 0), lower_case=config.lower_case)
    return Split(parts.train, list(parts.validation), list(parts.test))._replace(**given)


def sources_and_references(pairs):
    """The sources, and for each of them a list of right answers.

    Args:
        pairs: a list of `(source, target)`, where a target is a string or a list of strings.
    """
    answers = [[target] if isinstance(target, str) else list(target) for _, target in pairs]
    return [source for source, _ in pairs], answers


def _pairs(config):
    """All pairs that the configuration names but those of the dates, to go through again and again."""
    if config.dataset:
        return download_pairs(config.dataset)
    files = _files(config, "source", "target") if config.tsv is None else _files(config, "tsv")
    pairs = (stream_parallel if config.tsv is None else stream_tsv)(*files)
    return list(pairs) if "-" in files else pairs  # what standard input says, it says only once


def _files(config, *fields):
    """The paths in these fields; relative ones are in the folder of the data."""
    names = (getattr(config, field) for field in fields)
    return [name if name == "-" or config.data is None else str(pathlib.Path(config.data, name)) for name in names]


def learn_texts(config, pairs):
    """The text processors of source and target, learned from the training pairs."""
    least, most = _SUBWORDS
    subwords = min(most, max(least, len(pairs) // _PAIRS_FOR_A_SUBWORD))

    def learn(texts, unit):
        size = config.vocabulary_size or (subwords if unit == "subwords" else None)
        return learn_text_processor(
            texts, unit, vocabulary_size=size, normalization=config.normalization, lower_case=config.lower_case
        )

    sources = Stream(lambda: (source for source, _ in pairs))
    targets = Stream(lambda: (target for _, target in pairs))
    if not config.shared_vocabulary:
        return learn(sources, config.source_unit), learn(targets, config.target_unit)
    return (learn(itertools.chain(sources, targets), config.source_unit),) * 2


def batches_of(config, parts, source_text, target_text):
    """What to train on, as `Batches`, and what to choose the best epoch by, as a data set."""
    sizes = {"batch_size": config.batch_size, "tokens_per_batch": config.tokens_per_batch}
    shortened = {"seed": config.seed, "max_length": config.max_length}
    training = Batches(parts.train, source_text, target_text, **sizes, **shortened)
    return training, batches(parts.validation, source_text, target_text, **sizes)


def _reversed(pairs):
    return ((target, source) for source, target in pairs)
