"""Keras layers on any backend: attention and its parts, encoder, bridge and decoder, one idea a file."""

from keras_attn.layers.alignments import (
    GlobalAlignment,
    LocalAlignment,
    MonotonicAlignment,
    PredictiveAlignment,
)
from keras_attn.layers.attention import Attention, BahdanauStyleDotAttention
from keras_attn.layers.bridge import Bridge
from keras_attn.layers.decoder import Decoder
from keras_attn.layers.embedding import TokenEmbedding
from keras_attn.layers.encoder import Encoder
from keras_attn.layers.memory import Memory
from keras_attn.layers.scores import AdditiveScore, CosineScore, DotScore, GeneralScore, LocationScore
from keras_attn.layers.stack import RecurrentStack

__all__ = [
    "AdditiveScore",
    "Attention",
    "BahdanauStyleDotAttention",
    "Bridge",
    "CosineScore",
    "Decoder",
    "DotScore",
    "Encoder",
    "GeneralScore",
    "GlobalAlignment",
    "LocalAlignment",
    "LocationScore",
    "Memory",
    "MonotonicAlignment",
    "PredictiveAlignment",
    "RecurrentStack",
    "TokenEmbedding",
]
