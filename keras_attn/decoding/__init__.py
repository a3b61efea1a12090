"""Searches for the target, each a `tf.function` over the step protocol of the model."""

from keras_attn.decoding.greedy import GreedyDecoder
from keras_attn.decoding.hypotheses import Hypotheses

__all__ = ["GreedyDecoder", "Hypotheses"]
