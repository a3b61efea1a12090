"""Texts as a model reads them: ids with the tokens that mark where a sentence starts and ends."""

import tensorflow as tf

from keras_attn.ids import END, START


def source_ids(source_text, texts):
    """Sources as a model reads them: string `(batch,)` to int32 `(batch, source_length)`, each ending with the end
    token, padded with 0."""
    return ragged_sources(source_text, texts).to_tensor()


def target_ids(target_text, texts):
    """Targets as teacher forcing needs them: string `(batch,)` to two int32 `(batch, target_length)`, what the model
    is given, beginning with the start token, and what it is asked for, ending with the end token."""
    targets = ragged_targets(target_text, texts)
    return targets[:, :-1].to_tensor(), targets[:, 1:].to_tensor()


def ragged_sources(source_text, texts):
    """Sources, each ending with the end token, as ragged int32 `(batch, None)`, without padding."""
    return _surround(source_text.to_ids(texts), after=END)


def ragged_targets(target_text, texts):
    """Targets with both the start and the end token, ragged int32 `(batch, None)`."""
    return _surround(target_text.to_ids(texts), before=START, after=END)


def _surround(ids, *, after, before=None):
    """Ragged ids with one more id after each row, and maybe one before it."""
    column = lambda token: tf.fill([ids.nrows(), 1], token)
    parts = [] if before is None else [column(before)]
    return tf.concat([*parts, ids, column(after)], axis=1)
