"""Attention as arithmetic: score, weights, alignment vectors, context.

Pure functions of tensors over `keras.ops`; nothing here has weights or a state. `...` in a shape stands for any
leading dimensions (usually `batch`, or none for an example worked by hand):

    query = [[10, 5, 10]]                                        # (target_length=1, units=3)
    keys = values = [[0, 1, 1], [5, 0, 1], [1, 1, 0], [0, 5, 1]]  # (source_length=4, units=3)
    scores = dot_score(query, keys)                              # [[15, 60, 15, 35]]
    weights = attention_weights(scores)                          # [[2.9e-20, 1.0, 2.9e-20, 1.4e-11]]
    alignment_vectors(weights, values)                           # each value times its weight
    context_vector(weights, values)                              # their sum: [[5, 6.9e-11, 1]]

The fifth step, handing the context vector to the decoder, is the decoder's own.
"""

from keras import config, ops

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
        ValueError: the last dimensions of query and keys differ.

    Source: Luong et al. 2015, section 3.1, "dot".
    """
    query, keys = _floating(query), _floating(keys)
    if None not in (query.shape[-1], keys.shape[-1]) and query.shape[-1] != keys.shape[-1]:
        raise ValueError(
            f"A dot product needs query and keys of the same size, but query has the shape {tuple(query.shape)} "
            f"and keys {tuple(keys.shape)}; project one of them first."
        )
    return ops.matmul(query, ops.swapaxes(keys, -1, -2))


def scaled_dot_score(query, keys):
    """`score(q, k) = q · k / √units`, so that the scores' spread does not grow with the size of the vectors.

    Args:
        query: `(..., target_length, units)`.
        keys: `(..., source_length, units)`.

    Returns:
        `(..., target_length, source_length)`.

    Raises:
        ValueError: the last dimensions of query and keys differ.

    Source: Vaswani et al. 2017, equation 1.
    """
    keys = _floating(keys)
    return dot_score(query, keys) / keys.shape[-1] ** 0.5


def attention_weights(scores, mask=None):
    """Softmax over the source positions that the mask lets through.

    Args:
        scores: `(..., target_length, source_length)`.
        mask: optional boolean `(..., source_length)`, true where there is a token. A row without any token
            gets weights of zero, not NaN.

    Returns:
        `(..., target_length, source_length)`, each row adding up to one, in float32 or wider.

    Source: Bahdanau et al. 2015, equation 6.
    """
    scores = _floating(scores)
    if ops.dtype(scores) != "float64":
        scores = ops.cast(scores, "float32")
    if mask is None:
        return ops.softmax(scores, axis=-1)
    mask = ops.expand_dims(ops.cast(mask, "bool"), -2)
    weights = ops.softmax(ops.where(mask, scores, _MASKED_SCORE), axis=-1)
    return ops.where(mask, weights, 0.0)


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
    return ops.matmul(ops.cast(weights, ops.dtype(values)), values)


def _floating(tensor):
    """The tensor as it is, or in Keras's float type where it holds integers."""
    tensor = ops.convert_to_tensor(tensor)
    return tensor if "float" in ops.dtype(tensor) else ops.cast(tensor, config.floatx())
