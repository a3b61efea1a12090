"""Alignments as layers: from the scores of a query to its attention weights."""

import keras
from keras import ops

from keras_attn import functional
from keras_attn.errors import require_count
from keras_attn.layers.parts import Matrix


class Alignment(keras.layers.Layer):
    """What all alignments have in common.

    Call arguments:
        scores: `(batch, target_length, source_length)`, or with heads `(batch, heads, target_length, source_length)`.
        query: `(batch, target_length, units)`.
        mask: boolean `(batch, source_length)`, true where there is a token.
        history: a dictionary with what `needs` names of earlier queries: `position`, int `(batch,)`, how many there
            were; `previous`, `(batch, source_length)`, the weights of the last one. With the latter there is
            one query at a time.
        noise: optional numbers of the shape of the scores to be added to them.
        training: whether the layer is being trained.

    Output:
        float32 (or float64, where the scores are), of the shape of the scores.
    """

    formula = ""
    needs = ()
    noise = 0.0  # standard deviation of the noise that is added to the scores in training

    def __init__(self, **kwargs):
        super().__init__(autocast=False, **kwargs)  # scores and weights stay in float32

    def build(self, query_shape):
        pass  # most have no weights


@keras.saving.register_keras_serializable(package="keras_attn")
class GlobalAlignment(Alignment):
    """Softmax over all positions.

    Source: Bahdanau et al. 2015, equation 6; Luong et al. 2015, section 3.1.
    """

    formula = "softmax(score)"

    def call(self, scores, query, mask, history, noise=None, training=None):
        return functional.attention_weights(scores, _for_heads(mask, scores))


@keras.saving.register_keras_serializable(package="keras_attn")
class LocalAlignment(Alignment):
    """Softmax over a window that moves on by one position with each query, as if source and target went in step.

    Where the target is longer than the source, the window stays at the source's last position.

    Args:
        window: `D`; the window has `2 D + 1` positions.

    Source: Luong et al. 2015, section 3.2, "local-m".
    """

    formula = "softmax(score) where |position - t| ≤ D"
    needs = ("position",)

    def __init__(self, window=10, **kwargs):
        super().__init__(**kwargs)
        require_count(window=window)
        self.window = window

    def call(self, scores, query, mask, history, noise=None, training=None):
        target_length, source_length = ops.shape(scores)[-2:]
        center = ops.expand_dims(ops.cast(history["position"], "int32"), -1) + ops.arange(target_length)
        last = ops.maximum(_lengths(mask) - 1, 0)
        inside = functional.window_mask(ops.minimum(center, last), source_length, self.window)
        return functional.attention_weights(scores, _for_heads(_both(mask, inside), scores))

    def get_config(self):
        return {**super().get_config(), "window": self.window}


@keras.saving.register_keras_serializable(package="keras_attn")
class PredictiveAlignment(Alignment):
    """Softmax over a window around a position that the query predicts, times a Gaussian around it.

    The predicted position is `p = length · sigmoid(v · tanh(W q))`, the Gaussian's deviation `σ = D / 2`; the weights of
    a query add up to less than one.

    Args:
        window: `D`.

    Source: Luong et al. 2015, equations 9 and 10, "local-p".
    """

    formula = "softmax(score) where |position - p| ≤ D, times exp(-(position - p)² / 2σ²)"

    def __init__(self, window=10, **kwargs):
        super().__init__(**kwargs)
        require_count(window=window)
        self.window = window
        self.hidden = None
        self.center = None

    def build(self, query_shape):
        policy = {"dtype": self.dtype_policy}
        self.hidden = Matrix(query_shape[-1], name="hidden", **policy)
        self.center = Matrix(1, name="center", **policy)
        self.hidden.build(query_shape)
        self.center.build(query_shape)

    def call(self, scores, query, mask, history, noise=None, training=None):
        source_length = ops.shape(scores)[-1]
        share = ops.sigmoid(ops.cast(ops.squeeze(self.center(ops.tanh(self.hidden(query))), -1), "float32"))
        center = ops.cast(_lengths(mask), "float32") * share
        inside = functional.window_mask(center, source_length, self.window)
        weights = functional.attention_weights(scores, _for_heads(_both(mask, inside), scores))
        nearness = _for_heads(functional.gaussian(center, source_length, self.window / 2), scores)
        return weights * ops.cast(nearness, ops.dtype(weights))

    def get_config(self):
        return {**super().get_config(), "window": self.window}


@keras.saving.register_keras_serializable(package="keras_attn")
class MonotonicAlignment(Alignment):
    """Looks at the positions from left to right, never back: at each it stops with the probability `sigmoid(score + r)`.

    In training the weights are the probabilities of stopping, so that there is a gradient, and noise teaches the
    scores to be decided. Otherwise, also when a model is evaluated, it stops at the first position with
    `score + r > 0`: one weight of one, or none if there is no such position.

    Args:
        noise: standard deviation of the noise on the scores in training.
        bias: `r` before training; below zero, so that it does not stop everywhere from the start.

    Source: Raffel et al. 2017 (arXiv 1704.00784), section 2.
    """

    formula = "first position from the previous one on with score + r > 0 (in training the probability of that)"
    needs = ("previous",)

    def __init__(self, noise=1.0, bias=-1.0, **kwargs):
        super().__init__(**kwargs)
        self.noise = noise
        self.first_bias = bias

    def build(self, query_shape):
        bias = keras.initializers.Constant(self.first_bias)
        self.bias = self.add_weight(shape=(), initializer=bias, name="bias")

    def call(self, scores, query, mask, history, noise=None, training=None):
        kind = keras.backend.result_type(ops.dtype(scores), "float32")
        scores = ops.squeeze(ops.cast(scores, kind), 1) + ops.cast(self.bias, kind)
        if noise is not None:
            scores = scores + ops.squeeze(noise, 1)
        weigh = functional.monotonic_weights if training else functional.hard_monotonic_weights
        return ops.expand_dims(weigh(scores, history["previous"], mask), 1)

    def get_config(self):
        return {**super().get_config(), "noise": self.noise, "bias": self.first_bias}


def _lengths(mask):
    """How many tokens each source has: int `(batch, 1)`."""
    return ops.sum(ops.cast(mask, "int32"), axis=-1, keepdims=True)


def _both(mask, inside):
    return ops.logical_and(ops.expand_dims(mask, -2), inside)


def _for_heads(tensor, scores):
    """`(batch, ...)` with a dimension for the heads where the scores have one."""
    return ops.expand_dims(tensor, 1) if len(scores.shape) == 4 else tensor


ALIGNMENTS = {
    "global": GlobalAlignment,
    "local-m": LocalAlignment,
    "local-p": PredictiveAlignment,
    "monotonic": MonotonicAlignment,
}
