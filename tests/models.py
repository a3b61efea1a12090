"""Models that tests search with: some that follow a rule, and some with random weights."""

import random
from typing import NamedTuple

import numpy as np
import pytest

tf = pytest.importorskip("tensorflow")

from keras_attn import AttentionSeq2Seq, Translator, learn_text_processor
from keras_attn.ids import END
from keras_attn.layers import AdditiveScore, Attention, LocalAlignment

TEXTS = ["ab cd", "b", "", "dcba dcba dcba", "🙂 ?", "a\tb", "  ", "é" * 30]

VARIANTS = {
    "luong": {},
    "input feeding": {"input_feeding": True},
    "bahdanau": {"wiring": "bahdanau", "cell": "lstm"},
    "gnmt": {"wiring": "gnmt", "decoder_layers": 2},
    "none": {"wiring": "none"},
    "monotonic": {"attention": Attention("additive", "monotonic")},
    "coverage": {"attention": Attention(AdditiveScore(coverage=True)), "input_feeding": True},
    "local": {"attention": Attention("general", LocalAlignment(window=1))},
}


class SpellingModel:
    """Copies the source, whatever it is, then ends: the state is the position."""

    class Memory(NamedTuple):
        source: tf.Tensor

    def encode(self, source):
        return self.Memory(source), [[tf.zeros([tf.shape(source)[0], 1], tf.int32)]]

    def step(self, tokens, state, memory):
        position = state[0][0]
        source = tf.pad(memory.source, [[0, 0], [0, 1]])
        here = tf.minimum(position, tf.shape(source)[1] - 1)
        letter = tf.gather(source, here[:, 0], batch_dims=1)
        letter = tf.where(letter == 0, END, letter)
        weights = tf.one_hot(position[:, 0], tf.shape(memory.source)[1])
        return 10 * tf.one_hot(letter, 30), [[position + 1]], weights


class LoadedDie:
    """Gives each of eight tokens the same probability at every step, whatever came before."""

    probabilities = np.array([0, 0.02, 0, 0.08, 0.4, 0.3, 0.15, 0.05], "float32")

    def encode(self, source):
        return (), [tf.zeros([tf.shape(source)[0], 1])]

    def step(self, tokens, state, memory):
        logits = tf.tile(tf.math.log(self.probabilities + 1e-30)[None], [tf.shape(tokens)[0], 1])
        return logits, state, tf.zeros([tf.shape(tokens)[0], 1])


def bold_model(**options):
    """One whose sentences end differently."""
    model = AttentionSeq2Seq(20, 15, units=8, **options)
    model.build()
    model.set_weights([weight * 2 for weight in model.get_weights()])
    return model


def untrained_translator(unit="characters", **options):
    random.seed(0)  # what is made for a whole file is made before a test has its seed
    text = learn_text_processor(["ab cd dcba é"], unit)
    model = AttentionSeq2Seq(text.vocabulary_size, text.vocabulary_size, units=8)
    model.build()
    model.set_weights([weight * 2 for weight in model.get_weights()])
    return Translator(model, text, text, **options)
