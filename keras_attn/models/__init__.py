"""The model, and the losses, metrics and optimizer that it is trained and watched with."""

from keras_attn.models.adam import FusedAdam
from keras_attn.models.losses import MaskedCrossEntropy
from keras_attn.models.metrics import Perplexity, TokenAccuracy
from keras_attn.models.seq2seq import AttentionSeq2Seq

__all__ = ["AttentionSeq2Seq", "FusedAdam", "MaskedCrossEntropy", "Perplexity", "TokenAccuracy"]
