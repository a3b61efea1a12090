"""Searches for the target, each a `tf.function` over the step protocol of the model."""

from keras_attn.decoding.beam import BeamSearch
from keras_attn.decoding.ensemble import Ensemble
from keras_attn.decoding.greedy import GreedyDecoder
from keras_attn.decoding.hypotheses import Hypotheses
from keras_attn.decoding.sampling import Sampling
from keras_attn.decoding.shortlist import Shortlist

__all__ = ["BeamSearch", "Ensemble", "GreedyDecoder", "Hypotheses", "Sampling", "Shortlist"]
