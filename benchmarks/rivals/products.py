"""Nobody, but how fast TensorFlow's matrix products alone would let one be, with nothing in between.

They are those of our default network in float32, as few and as large as its mathematics allows: what does not wait for the
position before is one product for all positions, and only real tokens meet the softmax's matrix. Whoever is faster
multiplies less, in another precision, or with another library.
"""

import functools
import time
import typing

import numpy as np
import tensorflow as tf

from benchmarks.common import serve
from benchmarks.data import real_tokens, training_batches
from benchmarks.sentences import BEAM, GREEDY, WIDTH, source_batches


class Product(typing.NamedTuple):
    """So many matrices `(inner, columns)`, each of which meets `(rows, inner)` at every position, one after the other."""

    matrices: int
    positions: int
    rows: int
    inner: int
    columns: int

    def forward(self):
        return self.matrices * self.positions, self.rows, self.inner, self.columns

    def backward(self):
        """The gradients by both factors; that by the matrix does not wait for the position before."""
        by_rows = self.matrices * self.positions, self.rows, self.columns, self.inner
        return by_rows, (self.matrices, self.inner, self.positions * self.rows, self.columns)


def reading(rows, length, units):
    """The encoder, which reads both ways, and the keys."""
    return [
        Product(2, 1, rows * length, units, 3 * units),
        Product(2, length, rows, units, 3 * units),
        Product(1, 1, rows * length, 2 * units, units),
    ]


def writing(rows, length, real, units, vocabulary):
    """The decoder under teacher forcing."""
    return [
        Product(1, 1, rows * length, units, 3 * units),
        Product(1, length, rows, units, 3 * units),
        Product(1, 1, rows * length, 3 * units, units),
        Product(1, 1, real, units, vocabulary),
    ]


def one_by_one(rows, length, units, vocabulary):
    """The decoder where each token waits for the one before."""
    return [
        Product(2, length, rows, units, 3 * units),
        Product(1, length, rows, 3 * units, units),
        Product(1, length, rows, units, vocabulary),
    ]


@functools.cache
def _random(rows, columns):
    return tf.constant(np.random.default_rng(0).normal(size=(rows, columns)), tf.float32)


def seconds(products):
    """How long they take, each `(times, rows, inner, columns)`, one after the other."""
    factors = [(times, _random(rows, inner), _random(inner, columns)) for times, rows, inner, columns in products]
    started = time.perf_counter()
    for times, left, right in factors:
        for _ in range(times):
            tf.matmul(left, right)
    return time.perf_counter() - started


def training(options):
    units, vocabulary = options["units"], options["vocabulary"]
    batches = training_batches(options, options["like_length"])[options["warm_up"] :][: options["steps"]]

    def of_a_step(batch):
        source, target, _ = batch
        forward = reading(*source.shape, units) + writing(*target.shape, real_tokens([batch]), units, vocabulary)
        return [each.forward() for each in forward] + [gradient for each in forward for gradient in each.backward()]

    steps = [of_a_step(batch) for batch in batches]
    return lambda: {"tokens_per_second": real_tokens(batches) / sum(map(seconds, steps))}


def decoding(options):
    units, vocabulary, length = options["units"], options["vocabulary"], options["length"]
    batches = source_batches(options)
    sentences = sum(map(len, batches))

    def measured(width):
        spent = 0
        for batch in batches:
            products = reading(*batch.shape, units) + one_by_one(len(batch) * width, length, units, vocabulary)
            spent += seconds(each.forward() for each in products)
        return {"sentences_per_second": sentences / spent, "tokens_per_second": sentences * length / spent}

    return lambda: {GREEDY: measured(1), BEAM: measured(WIDTH)}


def prepare(options):
    measure = {"training": training, "decoding": decoding}[options["work"]](options)
    measure()  # the first product of a shape takes longer
    return measure


if __name__ == "__main__":
    serve(prepare)
