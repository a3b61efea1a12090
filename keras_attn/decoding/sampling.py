"""Sampling: targets as the model would say them, not the most probable ones."""

import math

import tensorflow as tf

from keras_attn.decoding.search import Search
from keras_attn.errors import InputError, require_count
from keras_attn.ids import PADDING


class Sampling(Search):
    """Writes `count` targets for each source, each token drawn with the probability that the model gives it.

    What is drawn depends on the seed and on the source sentence alone, not on what else is in the batch; the same
    sentence with the same seed gets the same targets.

    Args:
        model: anything with `encode` and `step`, see `GreedyDecoder`.
        count: targets for each source; returned by their score, the best first.
        temperature: above 0; logits are divided by it, so that below 1 the probable becomes more probable.
        top_k: draw from this many most probable tokens; `None`, from all.
        top_p: draw from the most probable tokens that reach this probability together, above 0 up to 1.
        seed: of the drawing.
        **options: of `Search`.

    Call arguments, output and errors: those of `Search`. Log-probabilities are not changed by the temperature.

    Source: Fan et al. 2018 (arXiv 1805.04833), section 4.3 (top-k); Holtzman et al. 2020 (arXiv 1904.09751), equations
    2 and 3 (top-p).
    """

    def __init__(self, model, count=1, temperature=1.0, top_k=None, top_p=1.0, seed=0, **options):
        if "width" in options:
            raise InputError("Sampling has no option width; count says how many targets it writes.")
        super().__init__(model, width=count, count=count, **options)
        if not 0 < temperature < math.inf:
            raise InputError(f"temperature is {temperature}, but it must be above 0 and finite.")
        require_count(top_k=top_k)
        require_count(0, seed=seed)
        if not 0 < top_p <= 1:
            raise InputError(f"top_p is {top_p}, but it must be above 0 and at most 1.")
        if seed >= 2**31:
            raise InputError(f"seed is {seed}, but it must be from 0 to {2**31 - 1}.")
        self.temperature = temperature
        self.top_k = top_k
        self.top_p = top_p
        self.seed = seed

    def beginnings(self, batch, width):
        return tf.ones([batch, width], tf.bool)

    def random_numbers(self, source, steps, width):
        # A fixed shape for each sentence: what is drawn must not depend on how long the batch lasts.
        numbers = tf.map_fn(
            lambda key: tf.random.stateless_uniform([self.max_length, width], seed=tf.stack([self.seed, key])),
            tf.pad(_fingerprints(source), [[0, 1]]),  # what is mapped must not be empty
            fn_output_signature=tf.TensorSpec([self.max_length, None], tf.float32),
        )
        return numbers[:-1, :steps]

    def continued(self, totals, logits, random):
        batch, width, vocabulary_size = tf.unstack(tf.shape(logits))
        places = tf.tile(tf.range(width)[None], [batch, 1])
        size = vocabulary_size if self.top_k is None else tf.minimum(self.top_k, vocabulary_size)
        logits, tokens = tf.math.top_k(logits, size)
        # From the best one on, so that no temperature is too low to divide by.
        probabilities = tf.nn.softmax((logits - logits[:, :, :1]) / self.temperature)
        before = tf.cumsum(probabilities, axis=2, exclusive=True)
        probabilities = tf.where(before < self.top_p, probabilities, 0.0)
        reached = tf.cumsum(probabilities, axis=2)
        wanted = random[:, :, None] * reached[:, :, -1:]
        drawn = tf.reduce_sum(tf.cast(reached <= wanted, tf.int32), axis=2)
        # Rounding may ask for more than the last with any probability.
        last = tf.reduce_sum(tf.cast(probabilities > 0, tf.int32), axis=2) - 1
        return places, tf.gather(tokens, tf.clip_by_value(drawn, 0, tf.maximum(last, 0)), batch_dims=2)


def _fingerprints(source):
    """A number for each sentence, from its ids without the padding: int32 `(batch,)`."""
    words = tf.where(source == PADDING, "", tf.strings.as_string(source) + " ")
    return tf.cast(tf.strings.to_hash_bucket_fast(tf.strings.reduce_join(words, axis=1), 2**31 - 1), tf.int32)
