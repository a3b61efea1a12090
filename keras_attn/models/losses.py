"""The loss that teacher forcing minimises."""

import keras
from keras import ops

from keras_attn.errors import InputError
from keras_attn.ids import PADDING
from keras_attn.kernels.fused import origin_of


@keras.saving.register_keras_serializable(package="keras_attn")
class MaskedCrossEntropy(keras.losses.Loss):
    """Mean over all real tokens of `-log p(token)`, in nats; padding counts for nothing.

    With label smoothing `ε`, the right token is given the probability `1 - ε` and the whole vocabulary shares `ε`.

    Args:
        label_smoothing: `ε`, from 0 up to, but without, 1.
        reduction: as in Keras. The default divides by the number of real tokens in the batch, so a batch with more
            padding, or with shorter sentences, weighs no token differently from its neighbours.

    Call arguments:
        y_true: int `(batch, target_length)`, 0 where there is padding.
        y_pred: logits `(batch, target_length, vocabulary_size)`.
        sample_weight: optional `(batch,)` or `(batch, target_length)`.

    Raises:
        InputError: the label smoothing is out of its range.

    Source: Sutskever et al. 2014, section 3.2; Szegedy et al. 2016, section 7 (label smoothing).
    """

    def __init__(self, label_smoothing=0.0, reduction="mean_with_sample_weight", name="masked_cross_entropy", **kwargs):
        super().__init__(name=name, reduction=reduction, **kwargs)
        if not 0 <= label_smoothing < 1:
            raise InputError(f"label_smoothing is {label_smoothing}, but it must be 0 or more and below 1.")
        self.label_smoothing = label_smoothing

    def __call__(self, y_true, y_pred, sample_weight=None):
        weights = token_weights(y_true, sample_weight)
        origin = origin_of(y_pred)
        if origin is None or self.reduction != "mean_with_sample_weight":
            return super().__call__(y_true, y_pred, weights)
        return ops.divide_no_nan(origin.total_cross_entropy(y_true, weights, self.label_smoothing), ops.sum(weights))

    def call(self, y_true, y_pred):
        return cross_entropy(y_true, y_pred, self.label_smoothing)

    def get_config(self):
        return {**super().get_config(), "label_smoothing": self.label_smoothing}


def cross_entropy(labels, logits, label_smoothing=0.0):
    """`-Σ q(token) log p(token)` for every position, padding included, where `q` is the smoothed label.

    Args:
        labels: int `(batch, target_length)`.
        logits: `(batch, target_length, vocabulary_size)`.
        label_smoothing: `ε`.

    Returns:
        `(batch, target_length)`, in nats and in the type of the logits.
    """
    labels = ops.expand_dims(ops.cast(labels, "int32"), -1)
    right = ops.squeeze(ops.take_along_axis(logits, labels, axis=-1), -1)
    # log p(token) is its logit less the logarithm of the sum; the latter stands in every term, and they add up to one.
    losses = ops.logsumexp(logits, axis=-1) - (1 - label_smoothing) * right
    return losses - label_smoothing * ops.mean(logits, axis=-1) if label_smoothing else losses


def token_weights(labels, sample_weight=None):
    """One for a real token and zero for padding, times the sample weight: float32 `(batch, target_length)`."""
    weights = ops.cast(ops.not_equal(labels, PADDING), "float32")
    if sample_weight is None:
        return weights
    sample_weight = ops.cast(sample_weight, "float32")
    if len(sample_weight.shape) == 1:
        sample_weight = ops.expand_dims(sample_weight, -1)
    return weights * sample_weight
