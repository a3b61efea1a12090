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
        log_probabilities: float32 `(..., steps)`, of each.
        slots: int32 `(..., steps)`, in which place of the beam it was continued.
        total: float32, the sum of these; `-inf` where there is no target.
    """

    tokens: Any
    log_probabilities: Any
    slots: Any
    total: Any


class Ended(NamedTuple):
    """Targets that nothing is written on any more.

    Fields:
        targets: `Targets`.
        score: float32 `(batch, how many)`, what they are ranked by; `-inf` where there is no target.
    """

    targets: Any
    score: Any


def no_targets(batch, count, steps):
    return Targets(
        tokens=tf.fill([batch, count, steps], PADDING),
        log_probabilities=tf.zeros([batch, count, steps]),
        slots=tf.zeros([batch, count, steps], tf.int32),
        total=tf.fill([batch, count], NEVER),
    )


def of_parents(structure, parents):
    """What belongs to the targets that are continued: tensors `(batch, width, ...)` to the same."""
    return tf.nest.map_structure(lambda tensor: tf.gather(tensor, parents, batch_dims=1), structure)


def written_on(targets, parents, tokens, log_probabilities, time):
    """Each place with the target of its parent and one token more.

    Args:
        targets: `Targets`, `width` for each sentence.
        parents, tokens: int32 `(batch, width)`, which target goes on in each place and with which token.
        log_probabilities: float32 `(batch, width)`, of that token.
        time: how many tokens there are already.
    """
    targets = of_parents(targets, parents)
    now = tf.range(tf.shape(targets.tokens)[2]) == time
    return targets._replace(
        tokens=tf.where(now, tokens[:, :, None], targets.tokens),
        log_probabilities=tf.where(now, log_probabilities[:, :, None], targets.log_probabilities),
        slots=tf.where(now, parents[:, :, None], targets.slots),
        total=targets.total + log_probabilities,
    )


def best_so_far(ended, rows, leaving):
    """The targets that have ended, after some sentences have offered theirs of this step.

    Args:
        ended: `Ended`, the best of the whole batch, `count` for each sentence.
        rows: int32 `(rows,)`, which sentences offer.
        leaving: `Ended`, of those.
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
        ended: `Ended`, the best first.
        weights: float32 `(steps, batch, width, source_length)`, where each place of the beam looked.
    """
    targets, score = ended
    longest = tf.maximum(tf.reduce_max(tf.reduce_sum(tf.cast(targets.tokens != PADDING, tf.int32), axis=2)), 1)
    tokens, log_probabilities, slots = (tensor[:, :, :longest] for tensor in targets[:3])
    # A target had another place in the beam at each step.
    by_sentence = tf.transpose(weights, [1, 2, 0, 3])
    steps = tf.broadcast_to(tf.range(longest), tf.shape(slots))
    attended = tf.gather_nd(by_sentence, tf.stack([slots, steps], axis=-1), batch_dims=1)
    found = score > NEVER
    return Hypotheses(
        tokens,
        tf.where(found, targets.total, 0.0),
        tf.where((tokens != PADDING)[..., None], attended, 0.0),
        tf.where(found, score, 0.0),
        log_probabilities,
    )
