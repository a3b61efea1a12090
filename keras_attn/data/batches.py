"""Batches of ids for `fit` and `evaluate`, read from disk one after the other."""

import tensorflow as tf

from keras_attn.data.encoded import EncodedPairs
from keras_attn.data.plan import Plan


def batches(
    pairs,
    source_text,
    target_text,
    *,
    batch_size=64,
    tokens_per_batch=None,
    max_length=None,
    seed=None,
    first_epoch=0,
):
    """What `fit` and `evaluate` take: batches of ids with the target one step ahead as labels.

    The ids of all pairs are in a temporary file (`TMPDIR` says where), about four bytes for a token, so that the corpus
    may be larger than the memory.

    Args:
        pairs: what `read_pairs` takes, such as an iterable of `(source, target)` strings; gone through once.
        source_text, target_text: text processors.
        batch_size: sentences in a batch.
        tokens_per_batch: instead of `batch_size`, how many tokens a batch has at most on either side, padding
            counted; a single sentence longer than that is a batch of its own.
        max_length: pairs with more tokens than this on either side are left out.
        seed: of the shuffling; `None` keeps the pairs in order of length, the same in every epoch.
        first_epoch: the epoch that the first pass over the data set is shuffled for. Each finished pass counts one
            further, so that epoch 7 is the same whether training was interrupted before it or not.

    Returns:
        A `tf.data.Dataset` of `({"source": ids, "target": ids}, labels)`, int32 of shapes
        `(batch, source_length)`, `(batch, target_length)` and `(batch, target_length)`, padded with 0. The source
        ends with the end token, the target begins with the start token, the labels end with the end token.

    Raises:
        InputError: no pair is left, an element is none, or a size is below one.
    """
    options = {"batch_size": batch_size, "tokens_per_batch": tokens_per_batch, "max_length": max_length, "seed": seed}
    return Batches(pairs, source_text, target_text, **options).dataset(first_epoch)


class Batches:
    """What `batches` does in two steps, for whoever must know first how much there is: `len` says how many batches the first
    epoch has, `pairs` how many pairs an epoch has, and `dataset` gives the data set.

    Args:
        pairs, source_text, target_text, **options: see `batches`.

    Raises:
        InputError: see `batches`.
    """

    def __init__(self, pairs, source_text, target_text, **options):
        self._encoded = EncodedPairs(pairs, source_text, target_text)
        self._plan = Plan(self._encoded.lengths, **options)
        self.pairs = len(self._plan.rows)

    def __len__(self):
        return len(self._plan)

    def dataset(self, first_epoch=0):
        epoch, to_deliver = first_epoch, 0

        def read_a_pass():
            nonlocal to_deliver
            planned = self._plan.epoch(epoch)
            to_deliver = len(planned)
            yield from map(self._encoded.read, planned)

        def count_delivered():
            nonlocal epoch, to_deliver
            to_deliver -= 1
            epoch += to_deliver == 0

        def deliver(inputs, labels):
            # After the prefetching, so that whoever just peeks at the first batch does not use an epoch up.
            tf.numpy_function(count_delivered, [], [])
            return inputs, labels

        ids = tf.TensorSpec([None, None], tf.int32)
        read = tf.data.Dataset.from_generator(read_a_pass, output_signature=({"source": ids, "target": ids}, ids))
        delivered = read.prefetch(4).map(deliver)
        if self._plan.tokens_per_batch is None:  # otherwise each epoch has another number
            delivered = delivered.apply(tf.data.experimental.assert_cardinality(len(self)))
        options = tf.data.Options()
        # TensorFlow's thread that tunes a pipeline sleeps longer and longer, up to a minute, and the end of an epoch often
        # waits until it wakes. Tuning would also prefetch once more, after the counting.
        options.autotune.enabled = False
        return delivered.with_options(options)
