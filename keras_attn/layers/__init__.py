"""Keras layers on any backend: attention, encoder, bridge and decoder, one idea a file."""

from keras_attn.layers.attention import BahdanauStyleDotAttention
from keras_attn.layers.bridge import Bridge
from keras_attn.layers.decoder import Decoder
from keras_attn.layers.encoder import Encoder
from keras_attn.layers.memory import Memory

__all__ = ["BahdanauStyleDotAttention", "Bridge", "Decoder", "Encoder", "Memory"]
