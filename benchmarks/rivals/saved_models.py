"""Writes the SavedModels of `benchmarks.latency`: ours, and one as TensorFlow's tutorials export it.

Both have the same sizes, random weights and a bias that forbids the special tokens, so that both write `length` words.
"""

import random

import keras
import tensorflow as tf

from benchmarks.common import serve
from benchmarks.data import END, PADDING, START, UNKNOWN
from benchmarks.latency import words


def ours(options):
    from keras_attn import AttentionSeq2Seq, Translator
    from keras_attn.models.precision import in_precision
    from keras_attn.text import WordProcessor

    text = WordProcessor(words(options["vocabulary"]))
    model = AttentionSeq2Seq(text.vocabulary_size, text.vocabulary_size, units=options["units"])
    model.build()
    _only_words(model.decoder.logits)
    if options["rival"] == "ours-bfloat16":
        model = in_precision(model, "bfloat16")
    shortlist = _shortlist(text) if options["rival"] == "ours-shortlist" else None
    Translator(model, text, text, max_length=options["length"], shortlist=shortlist).export(options["folder"])


def _shortlist(text):
    """As many candidates for each token as `learn_shortlist` finds, but any."""
    from keras_attn.shortlisting import CANDIDATES, FREQUENT

    tokens, draw = text.tokens[END + 1 :], random.Random(0)
    return {token: draw.sample(tokens, CANDIDATES) for token in tokens} | {"[END]": tokens[:FREQUENT]}


class Tutorial(tf.Module):
    """Strings in, strings out, one token a step, with Keras's own layers."""

    def __init__(self, units, vocabulary, length):
        super().__init__()
        layers = keras.layers
        tokens = ["", "[UNK]", "[START]", "[END]", *words(vocabulary)]
        table = tf.lookup.KeyValueTensorInitializer(tokens, tf.range(len(tokens)), tf.string, tf.int32)
        self.ids = tf.lookup.StaticHashTable(table, UNKNOWN)
        self.tokens, self.units, self.length = tf.constant(tokens), units, length
        self.embed_source, self.embed_target = (layers.Embedding(vocabulary, units) for _ in range(2))
        self.read = layers.Bidirectional(layers.GRU(units, return_sequences=True))
        self.keys = layers.Dense(units, use_bias=False)
        self.write = layers.GRU(units, return_sequences=True, return_state=True)
        self.look = layers.Attention()
        self.attentional = layers.Dense(units, activation="tanh")
        self.logits = layers.Dense(vocabulary)
        self.logits.build((None, None, units))
        _only_words(self.logits)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="texts")])
    def translate(self, texts):
        texts = tf.strings.regex_replace(tf.strings.lower(texts), "[.?!,]", r" \0 ")
        source = self.ids.lookup(tf.strings.split(texts + " [END]").to_tensor())
        mask = source != PADDING
        memory = self.keys(self.read(self.embed_source(source), mask=mask))
        batch = tf.shape(source)[0]
        state, last = tf.zeros([batch, self.units]), tf.fill([batch, 1], START)
        ended = tf.zeros([batch, 1], tf.bool)
        written = tf.TensorArray(tf.int32, 0, dynamic_size=True)
        for time in tf.range(self.length):
            hidden, state = self.write(self.embed_target(last), initial_state=state)
            context = self.look([hidden, memory], mask=[None, mask])
            logits = self.logits(self.attentional(tf.concat([hidden, context], -1)))
            last = tf.where(ended, PADDING, tf.argmax(logits, -1, tf.int32))
            ended = ended | (last == END)
            written = written.write(time, last[:, 0])
            if tf.reduce_all(ended):
                break
        tokens = tf.gather(self.tokens, tf.transpose(written.stack()))
        return {"translations": tf.strings.strip(tf.strings.reduce_join(tokens, 1, separator=" "))}


def _only_words(logits):
    logits.bias.assign(tf.where(tf.range(logits.units) <= END, -1e9, 0.0))


def tutorial(options):
    module = Tutorial(options["units"], options["vocabulary"], options["length"])
    tf.saved_model.save(module, options["folder"], signatures=module.translate)


def prepare(options):
    """Writes one; there is nothing to measure afterwards."""
    keras.utils.set_random_seed(options["seed"])
    (tutorial if options["rival"] == "tutorial" else ours)(options)


if __name__ == "__main__":
    serve(prepare)
