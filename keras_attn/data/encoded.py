"""Pairs as token ids in a file, so that a corpus may be larger than the memory."""

import itertools
import tempfile
import threading

import numpy as np
import tensorflow as tf

from keras_attn.data.pairs import iterate_pairs
from keras_attn.text.sequences import ragged_sources, ragged_targets

# Pairs that are turned into ids at a time.
_CHUNK = 4096

_ID = np.dtype(np.int32)


class EncodedPairs:
    """All pairs of a corpus as ids, in a file that vanishes with the process; in memory are their lengths and places.

    Args:
        pairs: what `read_pairs` takes, gone through once.
        source_text, target_text: text processors.

    Attributes:
        lengths: int64 `(pairs, 2)`, the tokens of each source and target, one special token included: so long they
            stand in a batch.
    """

    def __init__(self, pairs, source_text, target_text):
        # Read, not mapped: the pages of a map count as memory of the process.
        self._file = tempfile.TemporaryFile()
        self._lock = threading.Lock()  # two passes may be under way at once
        pairs, lengths = iterate_pairs(pairs), [np.zeros((0, 2), np.int64)]
        while chunk := list(itertools.islice(pairs, _CHUNK)):
            sources, targets = (tf.constant(texts, tf.string) for texts in zip(*chunk))
            sources, targets = ragged_sources(source_text, sources), ragged_targets(target_text, targets)
            self._file.write(tf.concat([sources, targets], axis=1).values.numpy().tobytes())
            lengths.append(np.stack([sources.row_lengths(), targets.row_lengths() - 1], axis=1))
        self.lengths = np.concatenate(lengths)
        self._ends = np.cumsum(self.lengths.sum(axis=1) + 1)

    def read(self, rows):
        """The pairs with these numbers as one batch: `({"source": ids, "target": ids}, labels)` as `keras_attn.data.batches` gives it."""
        source_lengths = self.lengths[rows, 0]
        with self._lock:
            pairs = [self._read(row) for row in rows]
        sources = [pair[:length] for pair, length in zip(pairs, source_lengths)]
        targets = [pair[length:] for pair, length in zip(pairs, source_lengths)]
        given, asked = [target[:-1] for target in targets], [target[1:] for target in targets]
        return {"source": _padded(sources), "target": _padded(given)}, _padded(asked)

    def _read(self, row):
        count = self.lengths[row].sum() + 1
        self._file.seek((self._ends[row] - count) * _ID.itemsize)
        return np.frombuffer(self._file.read(count * _ID.itemsize), _ID)


def _padded(sequences):
    padded = np.zeros((len(sequences), max(map(len, sequences))), _ID)
    for row, sequence in zip(padded, sequences):
        row[: len(sequence)] = sequence
    return padded
