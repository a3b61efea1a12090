"""Attention as arithmetic: score, weights, alignment vectors, context; and the variants of the papers.

Pure functions of tensors over `keras.ops`; nothing here has weights or a state. `...` in a shape stands for any
leading dimensions (usually `batch`, or none for an example worked by hand):

    query = [[10, 5, 10]]                                        # (target_length=1, units=3)
    keys = values = [[0, 1, 1], [5, 0, 1], [1, 1, 0], [0, 5, 1]]  # (source_length=4, units=3)
    scores = dot_score(query, keys)                              # [[15, 60, 15, 35]]
    weights = attention_weights(scores)                          # [[2.9e-20, 1.0, 2.9e-20, 1.4e-11]]
    alignment_vectors(weights, values)                           # each value times its weight
    context_vector(weights, values)                              # their sum: [[5, 6.9e-11, 1]]

The fifth step, handing the context vector to the decoder, is the decoder's own. Trained vectors and matrices are
arguments here; the layers of the same names own them.
"""

from keras import config, ops

from keras_attn.errors import InputError
from keras_attn.products import batch_product, product

# Far below any real score, yet finite: a row of nothing but -inf would turn into NaN.
_MASKED_SCORE = -1e9


def dot_score(query, keys):
    """`score(q, k) = q · k`: how well each query fits each key.

    Args:
        query: `(..., target_length, units)`.
        keys: `(..., source_length, units)`.

    Returns:
        `(..., target_length, source_length)`.

    Raises:
        InputError: the last dimensions of query and keys differ.

    Source: Luong et al. 2015, section 3.1, "dot".
    """
    query, keys = _comparable(query, keys)
    return batch_product(query, keys, transpose_right=True)


def scaled_dot_score(query, keys):
    """`score(q, k) = q · k / √units`, so that the scores' spread does not grow with the size of the vectors.

    Args:
        query: `(..., target_length, units)`.
        keys: `(..., source_length, units)`.

    Returns:
        `(..., target_length, source_length)`.

    Raises:
        InputError: the last dimensions of query and keys differ.

    Source: Vaswani et al. 2017, equation 1.
    """
    keys = _floating(keys)
    return dot_score(query, keys) / keys.shape[-1] ** 0.5


def general_score(query, keys, kernel):
    """`score(q, k) = qᵀ W k`: a dot product between the query and projected keys.

    Args:
        query: `(..., target_length, units)`.
        keys: `(..., source_length, memory_units)`.
        kernel: `W` transposed, `(memory_units, units)`, as a Keras layer holds it.

    Returns:
        `(..., target_length, source_length)`.

    Source: Luong et al. 2015, section 3.1, "general".
    """
    return dot_score(query, project(keys, kernel))


def cosine_score(query, keys):
    """`score(q, k) = q · k / (‖q‖ ‖k‖)`: how well the directions fit, from -1 to 1; a vector of zeros fits none.

    Args:
        query: `(..., target_length, units)`.
        keys: `(..., source_length, units)`.

    Returns:
        `(..., target_length, source_length)`.

    Raises:
        InputError: the last dimensions of query and keys differ.

    Source: Graves et al. 2014 (arXiv 1410.5401), equation 6.
    """
    return dot_score(unit_length(query), unit_length(keys))


def project(vectors, kernel):
    """Vectors `(..., input_units)` times a matrix `(input_units, units)`: `(..., units)`."""
    vectors, kernel = _floating(vectors), _floating(kernel)
    if len(vectors.shape) == 2:
        return product(vectors, kernel)  # which TensorFlow joins with what is added to it
    # As one product of two matrices: TensorFlow is several times slower with more dimensions (einsum), and XLA cannot
    # differentiate them inside a loop (matmul).
    size = vectors.shape[-1] or kernel.shape[0]  # vectors from a loop may not say it
    flat = product(ops.reshape(vectors, (-1, size)), kernel)
    return ops.reshape(flat, (*ops.shape(vectors)[:-1], kernel.shape[-1]))


def unit_length(vectors):
    """The vectors `(..., units)` divided by their length; a vector of zeros stays one."""
    vectors = _floating(vectors)
    wide = ops.cast(vectors, _at_least_float32(vectors))
    squares = ops.sum(ops.square(wide), axis=-1, keepdims=True)
    return ops.cast(wide * ops.rsqrt(ops.maximum(squares, 1e-12)), ops.dtype(vectors))


def additive_score(query, keys, scale, bias=0.0):
    """`score(q, k) = v · tanh(q + k + b)`, where query and keys are projected already (`W s` and `U h` in the paper).

    Args:
        query: `(..., target_length, units)`.
        keys: `(..., source_length, units)`.
        scale: `v`, `(units,)`.
        bias: `b`, `(units,)`; the weight-normalised form has one.

    Returns:
        `(..., target_length, source_length)`.

    Raises:
        InputError: the last dimensions of query and keys differ.

    Source: Bahdanau et al. 2015, appendix A.1.2.
    """
    query, keys = _comparable(query, keys)
    hidden = ops.tanh(ops.expand_dims(query, -2) + ops.expand_dims(keys, -3) + bias)
    return ops.sum(hidden * scale, axis=-1)


def weight_normalized(direction, length):
    """`length · direction / ‖direction‖`: a vector `(units,)` whose length is learned apart from its direction.

    Source: Salimans and Kingma 2016 (arXiv 1602.07868), equation 2; for attention: Raffel et al. 2017, equation 16.
    """
    return length * unit_length(direction)


def location_score(query, kernel, source_length):
    """`score(q, position) = W q`: the query alone says which position it wants, whatever stands there.

    Args:
        query: `(..., target_length, units)`.
        kernel: `W` transposed, `(units, positions)`. Positions after its last get no weight.
        source_length: how many positions the source has.

    Returns:
        `(..., target_length, source_length)`.

    Source: Luong et al. 2015, equation 8.
    """
    kernel = _floating(kernel)
    scores = project(query, kernel)
    positions = ops.arange(source_length)
    known = positions < kernel.shape[-1]
    scores = ops.take(scores, ops.where(known, positions, 0), axis=-1)
    return ops.where(known, scores, float("-inf"))  # the first is always known, so no row has nothing else


def attention_weights(scores, mask=None):
    """Softmax over the source positions that the mask lets through.

    Args:
        scores: `(..., target_length, source_length)`.
        mask: optional boolean, true where a weight may be: `(..., source_length)`, true where there is a token, or
            `(..., target_length, source_length)`. A row without any gets weights of zero, not NaN.

    Returns:
        `(..., target_length, source_length)`, each row adding up to one, in float32 or wider.

    Source: Bahdanau et al. 2015, equation 6.
    """
    scores = _floating(scores)
    scores = ops.cast(scores, _at_least_float32(scores))
    mask = True if mask is None else _for_each_query(mask, scores)
    weights = ops.softmax(ops.where(mask, scores, _MASKED_SCORE), axis=-1)
    return ops.where(mask, weights, 0.0)  # where nothing is let through, the softmax has equal weights


def alignment_vectors(weights, values):
    """Each value scaled by its weight: what every source position contributes to the context.

    Args:
        weights: `(..., target_length, source_length)`.
        values: `(..., source_length, units)`.

    Returns:
        `(..., target_length, source_length, units)`.

    Source: the terms of the sum in Bahdanau et al. 2015, equation 5.
    """
    values = _floating(values)
    weights = ops.cast(weights, ops.dtype(values))
    return ops.expand_dims(weights, -1) * ops.expand_dims(values, -3)


def context_vector(weights, values):
    """The sum of the alignment vectors, as one matrix product that never writes them down.

    Args:
        weights: `(..., target_length, source_length)`.
        values: `(..., source_length, units)`.

    Returns:
        `(..., target_length, units)`.

    Source: Bahdanau et al. 2015, equation 5.
    """
    values = _floating(values)
    return batch_product(ops.cast(weights, ops.dtype(values)), values)


def window_mask(centers, source_length, width):
    """Which positions are at most `width` away from the center.

    Args:
        centers: float or int `(...)`, in positions from 0.
        source_length: how many positions the source has.
        width: `D`, in positions.

    Returns:
        Boolean `(..., source_length)`.

    Source: Luong et al. 2015, section 3.2: `[p - D, p + D]`.
    """
    return ops.abs(_distances(centers, source_length)) <= width


def gaussian(centers, source_length, deviation):
    """`exp(-(position - center)² / 2σ²)`: one at the center, less the farther away.

    Args:
        centers: float or int `(...)`, in positions from 0.
        source_length: how many positions the source has.
        deviation: `σ`, in positions.

    Returns:
        float32 `(..., source_length)`.

    Source: Luong et al. 2015, equation 10.
    """
    return ops.exp(-ops.square(_distances(centers, source_length)) / (2 * deviation**2))


def monotonic_weights(scores, previous, mask=None):
    """How likely an attention that only moves forward stops at each position.

    It starts from where it stopped before, stops at a position with the probability `sigmoid(score)`, and otherwise
    goes on to the next: `weight(j) = p(j) Σ_{k≤j} previous(k) Π_{k≤l<j} (1 - p(l))`. What goes on past the last
    position stops nowhere, so a row may add up to less than one.

    Args:
        scores: `(..., source_length)`, of one query.
        previous: `(..., source_length)`, the weights of the query before; at first all at position 0.
        mask: optional boolean `(..., source_length)`, true where there is a token.

    Returns:
        `(..., source_length)`, in float32 or wider.

    Source: Raffel et al. 2017 (arXiv 1704.00784), equations 8 to 10, without their division: every factor is
    `exp` of a sum of `log(1 - p)`, and none of them can overflow.
    """
    scores = ops.cast(scores, _at_least_float32(_floating(scores)))
    if mask is not None:
        scores = ops.where(mask, scores, _MASKED_SCORE)
    # passing[k, j]: how likely it is to go on from k to j. The sums run from each k by itself: the difference of two long
    # sums would lose what little is between k and j.
    positions = ops.arange(ops.shape(scores)[-1])
    start = ops.expand_dims(positions, -1)
    log_passed = ops.where(start <= positions, ops.expand_dims(ops.log_sigmoid(-scores), -2), 0.0)
    passing = ops.where(start <= positions, ops.exp(ops.cumsum(log_passed, axis=-1) - log_passed), 0.0)
    arriving = ops.squeeze(ops.matmul(ops.expand_dims(ops.cast(previous, ops.dtype(passing)), -2), passing), -2)
    return ops.sigmoid(scores) * arriving


def hard_monotonic_weights(scores, previous, mask=None):
    """Monotonic weights in decoding: each query stops at the first position from the previous one on whose score is above 0.

    Args, returns and source as `monotonic_weights`; a row has one weight of one, or none.
    """
    scores = _floating(scores)
    stops = scores > 0 if mask is None else ops.logical_and(scores > 0, mask)
    dtype = _at_least_float32(scores)
    reached = ops.cumsum(ops.cast(previous, dtype), axis=-1) > 0.5
    stops = ops.cast(ops.logical_and(stops, reached), dtype)
    return ops.where(ops.cumsum(stops, axis=-1) == 1, stops, 0.0)


def coverage_loss(weights):
    """`Σ min(weight, coverage)` for every query, where coverage is the sum of the weights before it: how much of what
    it looks at has been looked at already.

    Args:
        weights: `(..., target_length, source_length)`.

    Returns:
        `(..., target_length)`, from 0 to 1 where the weights of a row add up to one.

    Source: See et al. 2017 (arXiv 1704.04368), equations 10 and 12.
    """
    coverage = ops.cumsum(weights, axis=-2) - weights
    return ops.sum(ops.minimum(weights, coverage), axis=-1)


def _floating(tensor):
    """The tensor as it is, or in Keras's float type where it holds integers."""
    tensor = ops.convert_to_tensor(tensor)
    return tensor if "float" in ops.dtype(tensor) else ops.cast(tensor, config.floatx())


def _at_least_float32(tensor):
    return "float64" if ops.dtype(tensor) == "float64" else "float32"


def _comparable(query, keys):
    query, keys = _floating(query), _floating(keys)
    if None not in (query.shape[-1], keys.shape[-1]) and query.shape[-1] != keys.shape[-1]:
        raise InputError(
            f"Query and keys must have the same size, but query has the shape {tuple(query.shape)} and keys "
            f"{tuple(keys.shape)}; project one of them first."
        )
    return query, keys


def _for_each_query(mask, scores):
    mask = ops.cast(mask, "bool")
    return mask if len(mask.shape) == len(scores.shape) else ops.expand_dims(mask, -2)


def _distances(centers, source_length):
    positions = ops.cast(ops.arange(source_length), "float32")
    return positions - ops.expand_dims(ops.cast(centers, "float32"), -1)
