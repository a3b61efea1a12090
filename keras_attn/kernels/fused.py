"""Softmax matrix and cross-entropy in one: the loss of a batch without the logits of a batch.

The logits are by far the largest thing in training: a number for each target position and each token of the vocabulary,
padding included, then as many probabilities, and as many gradients. A loss needs none of them for longer than it takes to
add them up. Here a few hundred real tokens at a time, a chunk, go from the decoder's vectors to their losses and straight on
to the gradients. Products are of a whole chunk; all that lies between them goes over a few rows at a time, which stay in the
processor's cache meanwhile.

`trace_logits` notes where logits come from, and a loss or metric that finds the note need not look at them. TensorFlow
then never computes them, since a graph leaves out what nobody asks for. Whoever does ask gets them as always; only a gradient
of the loss with respect to the logits there is none, as the loss does not come from them. Where there is no graph, logits exist already, and
there is no note.
"""

from typing import Any, NamedTuple

import keras
from keras import ops

from keras_attn.ids import PADDING
from keras_attn.kernels.backend import one_replica
from keras_attn.products import product

# How many logits a chunk has, 20 MB in float32, and how many chunks are in work at a time.
_LOGITS_AT_A_TIME = 5_000_000
_CHUNKS_AT_A_TIME = 2
# How many logits stay in a core's own cache, 2 MB in float32.
_LOGITS_IN_CACHE = 500_000
# Products of fewer rows than this take longer to fetch the matrix than to multiply.
_LEAST_TOKENS = 64

_NOTE = "_keras_attn_origin"


class Origin:
    """Where logits come from: `vectors @ matrix + bias`.

    Args:
        vectors: `(batch, target_length, units)`, of the type in which the products are made.
        matrix: variable `(units, vocabulary_size)`, or `(vocabulary_size, units)` if it is an embedding's.
        bias: variable `(vocabulary_size,)`.
        is_embedding: whether it is.
        training: whether a gradient is expected, which is then found on the way; otherwise asking for it costs a second way.
    """

    def __init__(self, vectors, matrix, bias, is_embedding, training):
        self.vectors = vectors
        self.softmax = _Softmax(_snapshot(matrix), _snapshot(bias), is_embedding)
        self.training = bool(training)
        self.found = {}

    def total_cross_entropy(self, labels, weights, label_smoothing=0.0):
        """The sum over all real tokens of weight × cross-entropy, in nats: a float32 scalar, which has first derivatives
        with respect to vectors, matrix, bias and weights.

        Args:
            labels: int `(batch, target_length)`, 0 where there is padding.
            weights: float32 `(batch, target_length)`, 0 where there is padding.
            label_smoothing: `ε`, see `MaskedCrossEntropy`.
        """
        total, losses, right = _total_cross_entropy(self, labels, weights, label_smoothing)
        self.found = {"labels": labels, "losses": losses, "right": right}
        return total


class _Softmax(NamedTuple):
    """What makes logits of vectors: a matrix, which may be an embedding's, and a bias."""

    matrix: Any
    bias: Any
    is_embedding: bool

    @property
    def vocabulary_size(self):
        return self.bias.shape[0]

    @property
    def units(self):
        return self.matrix.shape[1 if self.is_embedding else 0]

    def in_type(self, dtype):
        import tensorflow as tf

        return self._replace(matrix=tf.cast(self.matrix, dtype), bias=tf.cast(self.bias, dtype))

    def logits(self, vectors):
        return product(vectors, self.matrix, transpose_right=self.is_embedding) + self.bias

    def d_vectors(self, d_logits):
        """The gradient with respect to the vectors, from that of their logits."""
        return product(d_logits, self.matrix, transpose_right=not self.is_embedding)

    def d_rows(self, vectors, d_logits):
        """The gradient with respect to the matrix, as rows of an embedding even where it is none: that is the quicker product."""
        import tensorflow as tf

        return tf.cast(product(d_logits, vectors, transpose_left=True), tf.float32)

    def as_matrix(self, rows):
        """Rows of an embedding, the way the matrix lies."""
        import tensorflow as tf

        return rows if self.is_embedding else tf.transpose(rows)


def _snapshot(weights):
    """What a variable holds at this point, after which training may change it; in its own type, where Keras would read it in
    that of the computation."""
    import tensorflow as tf

    if isinstance(weights, keras.Variable):
        # A variable that is still to be made has no value but that of its initializer.
        weights = weights.value if weights._value is None else weights._value
    return tf.convert_to_tensor(weights)


def trace_logits(logits, origin):
    """Notes where logits come from; they themselves stay as they are."""
    # In float16, gradients that are scaled only afterwards would be lost.
    if ops.dtype(logits) in ("float32", "bfloat16") and one_replica():
        setattr(logits, _NOTE, origin)


def forget_origin(logits):
    """Takes the note away."""
    if origin_of(logits):
        delattr(logits, _NOTE)


def origin_of(logits):
    """The note, or `None`."""
    return getattr(logits, _NOTE, None)


def found_by_loss(logits, labels, what):
    """What a loss found on its way, for metrics that come after it.

    Args:
        logits: that may have a note.
        labels: the very tensor that the loss was given.
        what: `"losses"`, the cross-entropy of every token without smoothing, or `"right"`, whether its logit is the
            highest (the first of several).

    Returns:
        Float32 `(batch, target_length)`, 0 in the padding; `None` if no loss has found any of these.
    """
    found = origin_of(logits).found if origin_of(logits) else {}
    return found[what] if found and found["labels"] is labels else None


def _total_cross_entropy(origin, labels, weights, label_smoothing):
    """The sum, and for every token its loss without smoothing and whether it is right, see `Origin`."""
    import tensorflow as tf

    flat_labels = tf.reshape(tf.cast(labels, tf.int32), [-1])
    real = tf.where(flat_labels != PADDING)
    tokens = tf.gather_nd(flat_labels, real)
    token_weights = tf.gather_nd(tf.reshape(weights, [-1]), real)

    @tf.custom_gradient
    def total_of(vectors, matrix, bias, token_weights):
        softmax = _Softmax(matrix, bias, origin.softmax.is_embedding)
        units = softmax.units  # vectors from a loop may not say it
        real_vectors = tf.gather_nd(tf.reshape(vectors, [-1, units]), real)
        given = softmax, real_vectors, tokens, token_weights, label_smoothing
        total, losses, right, found = _in_chunks(*given, with_gradients=origin.training)

        def gradients(scale, *_):
            # The loss is linear in whatever comes after it, so that its gradients need nothing but a factor.
            d_weights, d_vectors, d_rows, d_bias = found or _in_chunks(*given, with_gradients=True)[-1]
            everywhere = tf.scatter_nd(real, tf.cast(scale, d_vectors.dtype) * d_vectors, [tf.size(labels), units])
            d_matrix = softmax.as_matrix(scale * d_rows)
            return tf.reshape(everywhere, tf.shape(vectors)), d_matrix, scale * d_bias, scale * d_weights

        return (total, losses, right), gradients

    total, *of_tokens = total_of(origin.vectors, origin.softmax.matrix, origin.softmax.bias, token_weights)
    everywhere = [tf.scatter_nd(real, tf.stop_gradient(each), [tf.size(labels)]) for each in of_tokens]
    return total, *(tf.reshape(each, tf.shape(labels)) for each in everywhere)


def _in_chunks(softmax, vectors, tokens, weights, label_smoothing, with_gradients):
    """Real tokens `(tokens,)` with their vectors `(tokens, units)`, as many at a time as memory is meant for.

    Returns:
        The weighted sum; losses and right ones, float32 `(tokens,)`; and a tuple, which `with_gradients` holds those of the
        sum with respect to weights, vectors, rows of the matrix (see `_Softmax`) and bias.
    """
    import tensorflow as tf

    most = max(_LEAST_TOKENS, _LOGITS_AT_A_TIME // softmax.vocabulary_size)
    # None is in work alone at the end.
    count = _CHUNKS_AT_A_TIME * _rounded_up(tf.shape(tokens)[0], _CHUNKS_AT_A_TIME * most)
    rounded = softmax.in_type(vectors.dtype)

    def of_chunk(part):
        logits = rounded.logits(vectors[part])
        of_tokens, d_bias = _of_logits(logits, tokens[part], weights[part], label_smoothing, with_gradients)
        if not with_gradients:
            return of_tokens, []
        *of_tokens, d_logits = of_tokens
        # Products are with probabilities that have no weight yet: to give it to the vectors takes less time.
        scale = tf.cast(weights[part], vectors.dtype)[:, None]
        d_vectors = scale * rounded.d_vectors(d_logits)
        return [*of_tokens, d_vectors], [rounded.d_rows(scale * vectors[part], d_logits), *d_bias]

    scalar = tf.TensorSpec([None], tf.float32)
    specs = [scalar] * 3 + [tf.TensorSpec([None, softmax.units], vectors.dtype)] * with_gradients
    sums = [tf.zeros([softmax.vocabulary_size, softmax.units]), tf.zeros_like(softmax.bias)] * with_gradients
    if label_smoothing:
        shared_losses, shared_d_vectors, *shared_sums = _shared_by_all(softmax, vectors, weights, label_smoothing)
        sums = [old + new for old, new in zip(sums, shared_sums)]
    (losses, right, smoothed, *d_vectors), sums = _part_by_part(of_chunk, tokens, count, specs, sums, _CHUNKS_AT_A_TIME)
    if label_smoothing:
        smoothed += shared_losses
        d_vectors = [each + shared_d_vectors for each in d_vectors]
    # How much the sum changes with the weight of a token is that token's loss.
    gradients = (smoothed, *d_vectors, *sums) if with_gradients else ()
    return tf.reduce_sum(weights * smoothed), losses, right, gradients


def _part_by_part(of_part, tokens, count, specs, sums, at_a_time=1):
    """Goes through all tokens in so many parts (one at least) of one size.

    Args:
        of_part: `of_part(slice) -> list of what there is of each token, list of what is summed`.
        tokens: `(tokens,)`.
        count: how many parts.
        specs: of the former, a list of `tf.TensorSpec`s.
        sums: what the latter are added to.
        at_a_time: how many parts may be in work.

    Returns:
        The same two lists for all tokens.
    """
    import tensorflow as tf

    count = tf.maximum(count, 1)  # an array of no parts could not be put together
    size = _rounded_up(tf.shape(tokens)[0], count)
    arrays = [tf.TensorArray(each.dtype, count, infer_shape=False, element_shape=each.shape) for each in specs]

    def one_part(index, arrays, sums):
        of_tokens, of_all = of_part(slice(index * size, (index + 1) * size))
        arrays = [array.write(index, each) for array, each in zip(arrays, of_tokens, strict=True)]
        return index + 1, arrays, [old + new for old, new in zip(sums, of_all, strict=True)]

    _, arrays, sums = tf.while_loop(
        lambda index, *_: index < count, one_part, (0, arrays, sums), parallel_iterations=at_a_time
    )
    return [array.concat() for array in arrays], sums


def _rounded_up(number, divisor):
    return -(-number // divisor)


def _shared_by_all(softmax, vectors, weights, label_smoothing):
    """What label smoothing gives to all tokens of the vocabulary alike: to the loss, `-ε × mean of the logits`.

    It takes no pass over the logits, since their mean is the product with the mean of the matrix.

    Returns:
        That, float32 `(tokens,)`; and what there is of it in the gradients of the weighted sum, with respect to the vectors,
        to any row of the matrix, and to any bias.
    """
    import tensorflow as tf

    wide = tf.cast(vectors, tf.float32)
    shares = -label_smoothing * weights
    mean_vector = tf.reduce_mean(softmax.matrix, axis=0 if softmax.is_embedding else 1)
    mean_logits = tf.linalg.matvec(wide, mean_vector) + tf.reduce_mean(softmax.bias)
    d_vectors = tf.cast(shares[:, None] * mean_vector, vectors.dtype)
    d_row = tf.linalg.matvec(wide, shares, transpose_a=True) / softmax.vocabulary_size
    d_bias = tf.reduce_sum(shares) / softmax.vocabulary_size
    return -label_smoothing * mean_logits, d_vectors, d_row, d_bias


def _of_logits(logits, tokens, weights, label_smoothing, with_gradients):
    """What logits `(tokens, vocabulary_size)` say of each token: its loss, whether it is right, its smoothed loss, and
    `with_gradients` the gradient of the latter with respect to its logits; and in another list, what is summed: the gradient
    of the weighted sum with respect to the bias.

    Each pass over the logits takes as long as a good part of their product. So all passes go over a few rows, which are still
    in the cache from one to the next, before they go over others.
    """
    import tensorflow as tf

    vocabulary_size = logits.shape[1]
    count = _rounded_up(tf.shape(tokens)[0], max(1, _LOGITS_IN_CACHE // vocabulary_size))
    of_rows = lambda part: _of_rows(logits[part], tokens[part], weights[part], label_smoothing, with_gradients)
    scalar = tf.TensorSpec([None], tf.float32)
    specs = [scalar] * 3 + [tf.TensorSpec([None, vocabulary_size], logits.dtype)] * with_gradients
    return _part_by_part(of_rows, tokens, count, specs, [tf.zeros([vocabulary_size])] * with_gradients)


def _of_rows(logits, tokens, weights, label_smoothing, with_gradients):
    """What a few rows of logits say, see `_of_logits`. Of label smoothing, only what it takes from the right token is here, see
    `_shared_by_all`."""
    import tensorflow as tf

    from keras_attn.kernels.blocks import best_token, in_blocks

    kind, logits = logits.dtype, tf.cast(logits, tf.float32)
    places = tf.stack([tf.range(tf.shape(tokens)[0]), tokens], axis=1)
    label_logits = tf.gather_nd(logits, places)
    probabilities = tf.nn.softmax(logits)
    best = best_token(in_blocks(probabilities))
    # The probability of the best token is never too small for its logarithm to be taken, as that of the right one may be.
    highest, probability = (tf.gather(array, best, batch_dims=1) for array in (logits, probabilities))
    losses = highest - tf.math.log(probability) - label_logits
    right = tf.cast(tf.equal(best, tokens), tf.float32)
    found = [losses, right, losses + label_smoothing * label_logits]
    if not with_gradients:
        return found, []
    less = tf.fill(tf.shape(tokens), label_smoothing - 1)
    with tf.control_dependencies([losses]):  # the last to read the probabilities may write where they are
        # `tf.tensor_scatter_nd_add` would copy them all the same.
        d_logits = tf.raw_ops.ScatterNdNonAliasingAdd(input=probabilities, indices=places, updates=less)
    d_bias = tf.linalg.matvec(d_logits, weights, transpose_a=True)
    return [*found, tf.cast(d_logits, kind)], [d_bias]
