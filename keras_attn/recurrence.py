"""A gated recurrent unit over a whole sequence, with its gradient written out.

Left to itself, TensorFlow multiplies every matrix anew at every position, and on the way back adds up the gradient of
every matrix at every position. But all that waits for the position before is the state. So here one product for each
position is left on the way there, and one on the way back. All others are made for all positions at once, which is far
quicker. Only the states are kept for the way back; the gates are computed anew from them, at once, too.
"""

import keras

from keras_attn.products import product

# Added to what an update gate sums up, it makes the gate 1 to the last bit.
_WIDE_OPEN = 1e4


def pays():
    """Whether `gated_recurrence` can run here, and nothing faster can, as on a graphics processor."""
    if keras.backend.backend() != "tensorflow":
        return False
    import tensorflow as tf

    return not tf.config.list_logical_devices("GPU")


def gated_recurrence(inputs, start, mask, kernel, recurrent_kernel, bias):
    """The states of a gated recurrent unit, as `keras.layers.GRU` has it:

        update gate  z = σ(W_z x + b_z + U_z h + b'_z)
        reset gate   r = σ(W_r x + b_r + U_r h + b'_r)
        candidate    c = tanh(W_c x + b_c + r (U_c h + b'_c))
        new state    h' = z h + (1 - z) c

    A masked position leaves the state as it is: its update gate is wide open. Nothing else needs to know about masks.

    Args:
        inputs: float32 `(batch, length, input_units)`.
        start: the state before the first position, float32 `(batch, units)`.
        mask: boolean `(batch, length)`, false where a position is masked, or `None`.
        kernel: `W`, `(input_units, 3 * units)`: side by side, those of update gate, reset gate and candidate.
        recurrent_kernel: `U`, `(units, 3 * units)`.
        bias: `b` and `b'`, `(2, 3 * units)`.

    Returns:
        Float32 `(batch, length, units)`, which has first derivatives by all but the mask.

    Source: Cho et al. 2014 (arXiv 1406.1078), section 2.3, with the reset gate after the product, as cuDNN has it.
    """
    import tensorflow as tf

    masked = 0.0 if mask is None else tf.cast(tf.logical_not(tf.transpose(mask)), tf.float32)[:, :, None]

    @tf.custom_gradient
    def states_of(inputs, start, kernel, recurrent_kernel, bias):
        update, reset, candidate = _sums(inputs, kernel, bias[0])
        from_inputs = [update + _WIDE_OPEN * masked, reset, candidate]
        states = _there(from_inputs, start, recurrent_kernel, bias[1])

        def gradients(by_states):
            previous = tf.concat([start[None], states[:-1]], axis=0)
            from_states = _sums(previous, recurrent_kernel, bias[1])
            by_start, *by_sums = _back(by_states, previous, from_inputs, from_states, recurrent_kernel)
            by_inputs = _like(product(_rows(by_sums[0]), kernel, transpose_right=True), inputs)
            by_matrices, by_biases = zip(*map(_by_weights, (inputs, previous), by_sums))
            return by_inputs, by_start, *by_matrices, tf.stack(by_biases)

        return states, gradients

    weights = map(tf.convert_to_tensor, (kernel, recurrent_kernel, bias))
    return tf.transpose(states_of(tf.transpose(inputs, [1, 0, 2]), start, *weights), [1, 0, 2])


# Below, everything is `(length, batch, ...)`.


def _there(from_inputs, start, recurrent_kernel, bias):
    """The states of all positions."""
    import tensorflow as tf

    length = tf.shape(from_inputs[0])[0]

    def one_position(at, state, states):
        from_state = tf.split(product(state, recurrent_kernel) + bias, 3, axis=-1)
        update, _, candidate = _gates([each[at] for each in from_inputs], from_state)
        state = update * state + (1 - update) * candidate
        return at + 1, state, states.write(at, state)

    states = tf.TensorArray(tf.float32, length, element_shape=(None, recurrent_kernel.shape[0]))
    going = lambda at, *_: at < length
    return tf.while_loop(going, one_position, (0, start, states), parallel_iterations=1)[-1].stack()


def _back(by_states, previous, from_inputs, from_states, recurrent_kernel):
    """The gradients by the start, by the sums from the inputs, and by those from the states, each `(..., 3 * units)`.

    How much each sum moves the new state is known beforehand, for all positions. What a loop has to find is by how much
    the loss changes with each state, by itself and by way of those that come after it.
    """
    import tensorflow as tf

    update, reset, candidate = _gates(from_inputs, from_states)
    by_candidate = (1 - update) * (1 - tf.square(candidate))
    by_reset = by_candidate * from_states[2] * reset * (1 - reset)
    by_update = (previous - candidate) * update * (1 - update)
    factors = tf.concat([by_update, by_reset, by_candidate * reset], axis=-1)
    three_times = lambda values: tf.concat([values] * 3, axis=-1)

    def one_position(at, by_state, totals):
        total = by_states[at] + by_state
        by_sums = factors[at] * three_times(total)
        by_previous = update[at] * total + product(by_sums, recurrent_kernel, transpose_right=True)
        return at - 1, by_previous, totals.write(at, total)

    length = tf.shape(by_states)[0]
    totals = tf.TensorArray(tf.float32, length, element_shape=by_states.shape[1:])
    begin = length - 1, tf.zeros_like(previous[0]), totals
    _, by_start, totals = tf.while_loop(lambda at, *_: at >= 0, one_position, begin, parallel_iterations=1)
    totals = totals.stack()
    by_from_states = factors * three_times(totals)
    units = recurrent_kernel.shape[0]
    by_from_inputs = tf.concat([by_from_states[..., : 2 * units], by_candidate * totals], axis=-1)
    return by_start, by_from_inputs, by_from_states


def _gates(from_inputs, from_states):
    """Update gate, reset gate and candidate from what each sums up."""
    import tensorflow as tf

    update, reset = (tf.sigmoid(there + here) for there, here in zip(from_inputs[:2], from_states[:2]))
    return update, reset, tf.tanh(from_inputs[2] + reset * from_states[2])


def _sums(vectors, matrix, bias):
    """What `vectors @ matrix + bias` adds to update gate, reset gate and candidate."""
    import tensorflow as tf

    sums = product(_rows(vectors), matrix) + bias
    return [_like(each, vectors) for each in tf.split(sums, 3, axis=-1)]


def _by_weights(vectors, by_sums):
    """The gradients by the matrix and the bias of `_sums`, from those by the sums `(length, batch, 3 * units)`."""
    import tensorflow as tf

    by_sums = _rows(by_sums)
    return product(_rows(vectors), by_sums, transpose_left=True), tf.reduce_sum(by_sums, axis=0)


def _rows(vectors):
    import tensorflow as tf

    return tf.reshape(vectors, [-1, vectors.shape[-1]])


def _like(rows, vectors):
    """The rows in the places of the vectors: `(length, batch, ...)`."""
    import tensorflow as tf

    placed = tf.reshape(rows, [*tf.unstack(tf.shape(vectors)[:2]), rows.shape[-1]])
    placed.set_shape([*vectors.shape[:2], rows.shape[-1]])
    return placed
