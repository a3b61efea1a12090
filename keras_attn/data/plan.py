"""Which pairs stand together in a batch: of like length, in an order that the seed and the epoch decide."""

import numpy as np

from keras_attn.errors import InputError, require_count

# Sentences are sorted by length within windows of this many batches: enough to leave little padding, few enough that
# the same sentences seldom meet again in a large corpus (in a small one, those of equal length change places).
_WINDOW_BATCHES = 50


class Plan:
    """The batches of each epoch, as numbers of pairs; the options are those of `keras_attn.data.batches`.

    Args:
        lengths: int64 `(pairs, 2)`, tokens of source and target with one special token each.

    Attributes:
        rows: int64 `(pairs left,)`, the pairs that are short enough.

    Raises:
        InputError: no pair is left, or a size is below one.
    """

    def __init__(self, lengths, batch_size=64, tokens_per_batch=None, max_length=None, seed=None):
        require_count(batch_size=batch_size, tokens_per_batch=tokens_per_batch)
        if not len(lengths):
            raise InputError("There are 0 pairs to make batches of; give at least one.")
        self.rows = np.arange(len(lengths))
        if max_length is not None:
            self.rows = np.flatnonzero(lengths.max(axis=1) - 1 <= max_length)
        if not len(self.rows):
            raise InputError(f"None of the {len(lengths)} pairs has {max_length} tokens or fewer; raise max_length.")
        self.lengths, self.seed = lengths, seed
        self.batch_size, self.tokens_per_batch = batch_size, tokens_per_batch

    def __len__(self):
        """How many batches the first epoch has, and each of them unless tokens are counted."""
        return len(self.epoch(0)) if self.tokens_per_batch is not None else -(-len(self.rows) // self.batch_size)

    def epoch(self, number):
        """A list with the rows of each batch, shuffled, or without a seed by length alone."""
        if self.seed is None:
            return self._cut(self._by_length(self.rows), self.batch_size)
        rng = np.random.default_rng((self.seed, number))
        rows = rng.permutation(self.rows)
        size = self.batch_size
        if self.tokens_per_batch is not None:
            size = max(1, int(self.tokens_per_batch / self.lengths[rows].max(axis=1).mean()))
        window = size * _WINDOW_BATCHES
        windows = [rows[start : start + window] for start in range(0, len(rows), window)]
        planned = [batch for part in windows for batch in self._cut(self._by_length(part), size)]
        return [planned[index] for index in rng.permutation(len(planned))]

    def _by_length(self, rows):
        """The rows in the order of their longer side, which leaves both sides with little padding."""
        source, target = self.lengths[rows].T
        return rows[np.lexsort((source, target, np.maximum(source, target)))]

    def _cut(self, rows, size):
        """Consecutive rows as batches."""
        if self.tokens_per_batch is None:
            return [rows[start : start + size] for start in range(0, len(rows), size)]
        cut, start, longest = [], 0, 0
        for end, length in enumerate(self.lengths[rows].max(axis=1).tolist()):
            longest = max(longest, length)
            if end > start and (end + 1 - start) * longest > self.tokens_per_batch:
                cut.append(rows[start:end])
                start, longest = end, length
        return [*cut, rows[start:]]
