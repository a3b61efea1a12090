"""Targets that are being written side by side, as tensors that grow by a token a step."""

from typing import Any, NamedTuple

import tensorflow as tf

from keras_attn.decoding.hypotheses import Hypotheses
from keras_attn.ids import PADDING

NEVER = float("-inf")


class Targets(NamedTuple):
    """Targets of each sentence, as tensors `(batch, how many, ...)`.

    Fields:
        tokens: int32 `(..., steps)`, 0 after the last.
        gains: float32 `(..., steps)`, the log-probability of each.
        slots: int32 `(..., steps)`, in which place of the beam it was continued.
        total: float32, the sum of the gains; `-inf` where there is no target.
        score: float32, what it is ranked by once it has ended; `-inf` before.
        coverage: float32 `(..., source_length)`, the sum of the attention weights so far.
    """

    tokens: Any
    gains: Any
    slots: Any
    total: Any
    score: Any
    coverage: Any


def no_targets(batch, count, steps, source_length):
    return Targets(
        tokens=tf.fill([batch, count, steps], PADDING),
        gains=tf.zeros([batch, count, steps]),
        slots=tf.zeros([batch, count, steps], tf.int32),
        total=tf.fill([batch, count], NEVER),
        score=tf.fill([batch, count], NEVER),
        coverage=tf.zeros([batch, count, source_length]),
    )


def of_parents(structure, parents):
    """What belongs to the targets that are continued: tensors `(batch, width, ...)` to the same."""
    return tf.nest.map_structure(lambda tensor: tf.gather(tensor, parents, batch_dims=1), structure)


def written_on(targets, parents, tokens, gains, attended, time):
    """Each place with the target of its parent and one token more.

    Args:
        targets: `Targets`, `width` for each sentence.
        parents, tokens: int32 `(batch, width)`, which target goes on in each place and with which token.
        gains: float32 `(batch, width)`, the log-probability of that token.
        attended: float32 `(batch, width, source_length)`, where the parents looked.
        time: how many tokens there are already.
    """
    targets, attended = of_parents((targets, attended), parents)
    now = tf.range(tf.shape(targets.tokens)[2]) == time
    return targets._replace(
        tokens=tf.where(now, tokens[:, :, None], targets.tokens),
        gains=tf.where(now, gains[:, :, None], targets.gains),
        slots=tf.where(now, parents[:, :, None], targets.slots),
        total=targets.total + gains,
        coverage=targets.coverage + attended,
    )


def best_so_far(ended, rows, leaving):
    """The targets that have ended, after some sentences have offered theirs of this step.

    Args:
        ended: `Targets`, the best of the whole batch, `count` for each sentence.
        rows: int32 `(rows,)`, which sentences offer.
        leaving: `Targets` of those; only the ones with a score above `-inf` have ended.
    """
    before = tf.nest.map_structure(lambda tensor: tf.gather(tensor, rows), ended)
    together = tf.nest.map_structure(lambda *both: tf.concat(both, axis=1), before, leaving)
    _, best = tf.math.top_k(together.score, tf.shape(ended.score)[1])
    return tf.nest.map_structure(
        lambda tensor, better: tf.tensor_scatter_nd_update(tensor, rows[:, None], better),
        ended,
        of_parents(together, best),
    )


def as_hypotheses(ended, weights):
    """What a search returns.

    Args:
        ended: `Targets`, the best first.
        weights: float32 `(steps, batch, width, source_length)`, where each place of the beam looked.
    """
    longest = tf.maximum(tf.reduce_max(tf.reduce_sum(tf.cast(ended.tokens != PADDING, tf.int32), axis=2)), 1)
    tokens, gains, slots = (tensor[:, :, :longest] for tensor in (ended.tokens, ended.gains, ended.slots))
    # A target had another place in the beam at each step.
    by_sentence = tf.transpose(weights, [1, 2, 0, 3])
    steps = tf.broadcast_to(tf.range(longest), tf.shape(slots))
    attended = tf.gather_nd(by_sentence, tf.stack([slots, steps], axis=-1), batch_dims=1)
    found = ended.score > NEVER
    return Hypotheses(
        tokens,
        tf.where(found, ended.total, 0.0),
        tf.where((tokens != PADDING)[..., None], attended, 0.0),
        tf.where(found, ended.score, 0.0),
        gains,
    )
