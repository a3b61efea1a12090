"""How well the model predicts the next token when it is given the right ones before it."""

import keras
from keras import ops

from keras_attn.kernels.fused import found_by_loss
from keras_attn.models.losses import cross_entropy, token_weights


@keras.saving.register_keras_serializable(package="keras_attn")
class TokenAccuracy(keras.metrics.Mean):
    """Share of the real tokens, from 0 to 1, whose logit is the highest (the first of several).

    Call arguments:
        y_true: int `(batch, target_length)`, 0 where there is padding.
        y_pred: logits `(batch, target_length, vocabulary_size)`.
        sample_weight: optional `(batch,)` or `(batch, target_length)`.
    """

    def __init__(self, name="token_accuracy", **kwargs):
        super().__init__(name=name, **kwargs)

    def update_state(self, y_true, y_pred, sample_weight=None):
        right = found_by_loss(y_pred, y_true, "right")
        if right is None:
            right = ops.equal(ops.cast(y_true, "int32"), ops.cast(ops.argmax(y_pred, axis=-1), "int32"))
        return super().update_state(right, token_weights(y_true, sample_weight))


@keras.saving.register_keras_serializable(package="keras_attn")
class Perplexity(keras.metrics.Mean):
    """`exp` of the mean cross-entropy of all real tokens seen: between how many tokens the model still wavers.

    Call arguments:
        y_true: int `(batch, target_length)`, 0 where there is padding.
        y_pred: logits `(batch, target_length, vocabulary_size)`.
        sample_weight: optional `(batch,)` or `(batch, target_length)`.
    """

    def __init__(self, name="perplexity", **kwargs):
        super().__init__(name=name, **kwargs)

    def update_state(self, y_true, y_pred, sample_weight=None):
        losses = found_by_loss(y_pred, y_true, "losses")
        if losses is None:
            losses = cross_entropy(y_true, ops.cast(y_pred, "float32"))
        return super().update_state(losses, token_weights(y_true, sample_weight))

    def result(self):
        return ops.exp(super().result())
