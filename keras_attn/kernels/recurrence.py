"""A gated recurrent unit over a whole sequence, with its gradient written out.

Left to themselves, TensorFlow and JAX multiply matrices anew at every position, and on the way back add up the gradient
of every matrix at every position. But all that waits for the position before is the state. So here one product for each
position is left on the way there, and one on the way back. All others are made for all positions at once, which is far
quicker. States and gates are kept for the way back; under JAX the states alone, from which the gates are computed anew,
at once, too.

Products are made in the type of their matrix, which may be bfloat16. All else is float32, the states above all.
"""

import keras
from keras import ops

from keras_attn.products import product

# Added to what an update gate sums up, it makes the gate 1 to the last bit.
_WIDE_OPEN = 1e4


def gated_recurrence(inputs, initial_state, mask, kernel, recurrent_kernel, bias):
    """The states of a gated recurrent unit, as `keras.layers.GRU` has it:

        update gate  z = σ(W_z x + b_z + U_z h + b'_z)
        reset gate   r = σ(W_r x + b_r + U_r h + b'_r)
        candidate    c = tanh(W_c x + b_c + r (U_c h + b'_c))
        new state    h' = z h + (1 - z) c

    A masked position leaves the state as it is: its update gate is wide open. Nothing else needs to know about masks.

    Args:
        inputs: `(batch, length, input_units)`.
        initial_state: the one before the first position, float32 `(batch, units)`.
        mask: boolean `(batch, length)`, false where a position is masked, or `None`.
        kernel: `W`, `(input_units, 3 * units)`: side by side, those of update gate, reset gate and candidate.
        recurrent_kernel: `U`, `(units, 3 * units)`, of the same type.
        bias: `b` and `b'`, float32 `(2, 3 * units)`.

    Returns:
        Float32 `(batch, length, units)`, which has first derivatives with respect to all but the mask.

    Source: Cho et al. 2014 (arXiv 1406.1078), section 2.3, with the reset gate after the product, as cuDNN has it.
    """
    masked = 0.0 if mask is None else ops.cast(ops.logical_not(ops.transpose(mask)), "float32")[:, :, None]

    @ops.custom_gradient
    def states_of(inputs, initial_state, kernel, recurrent_kernel, bias):
        update, reset, candidate = _sums(inputs, kernel, bias[0])
        from_inputs = [update + _WIDE_OPEN * masked, reset, candidate]
        states, *kept = _forward(from_inputs, initial_state, recurrent_kernel, bias[1])

        def gradients(d_states):
            previous = ops.concatenate([initial_state[None], states[:-1]], axis=0)
            gates = kept or _gates(from_inputs, _sums(previous, recurrent_kernel, bias[1]))
            d_initial_state, d_from_inputs, d_from_states = _backward(d_states, previous, gates, recurrent_kernel)
            d_inputs = _gradient_of_vectors(kernel, inputs, d_from_inputs)
            d_kernel, *d_bias = _gradients_of_weights(kernel, inputs, d_from_inputs)
            d_recurrent_kernel, *d_recurrent_bias = _gradients_of_weights(recurrent_kernel, previous, d_from_states)
            return d_inputs, d_initial_state, d_kernel, d_recurrent_kernel, ops.stack(d_bias + d_recurrent_bias)

        return states, gradients

    weights = map(ops.convert_to_tensor, (kernel, recurrent_kernel, bias))
    return ops.transpose(states_of(ops.transpose(inputs, [1, 0, 2]), initial_state, *weights), [1, 0, 2])


def gated_step(inputs, state, kernel, recurrent_kernel, bias):
    """The state after one more position, which `gated_recurrence` describes.

    Args:
        inputs: `(batch, input_units)`.
        state: float32 `(batch, units)`.
        kernel, recurrent_kernel, bias: as there.

    Returns:
        Float32 `(batch, units)`.
    """
    from_input, from_state = _sums(inputs, kernel, bias[0]), _sums(state, recurrent_kernel, bias[1])
    return _next_state(state, _gates(from_input, from_state))


# Below, everything is `(length, batch, ...)`.


def _forward(from_inputs, initial_state, recurrent_kernel, bias):
    """A list: the states of all positions, and what `_gates` gives if it is worth keeping."""
    # Under JAX it has not been measured. On a graphics processor, whatever a loop writes may take a launch of its own.
    keeps = keras.backend.backend() == "tensorflow"

    def one_position(state, from_input):
        gates = _gates(from_input, _sums(state, recurrent_kernel, bias))
        state = _next_state(state, gates)
        return state, [state, *gates] if keeps else [state]

    return _scan(one_position, initial_state, from_inputs, outputs=5 if keeps else 1)[1]


def _backward(d_states, previous, gates, recurrent_kernel):
    """The gradients with respect to the initial state, to the sums from the inputs, and to those from the states: the latter
    two are lists, for update gate, reset gate and candidate.

    How much each sum moves the new state, its factor, is known beforehand, for all positions. What a loop has to find is
    by how much the loss changes with each state, by itself and by way of those that come after it.
    """
    update, reset, candidate, behind_reset = gates
    candidate_factor = (1 - update) * (1 - ops.square(candidate))
    reset_factor = candidate_factor * behind_reset * reset * (1 - reset)
    update_factor = (previous - candidate) * update * (1 - update)
    behind_reset_factor = candidate_factor * reset

    def one_position(d_after, of_position):
        d_itself, update, *factors = of_position
        total = d_itself + d_after
        d_sums = _joined([factor * total for factor in factors], ops.dtype(recurrent_kernel))
        d_previous = product(d_sums, recurrent_kernel, transpose_right=True)
        return update * total + ops.cast(d_previous, "float32"), [total]

    nothing = ops.zeros_like(previous[0])
    sequences = [d_states, update, update_factor, reset_factor, behind_reset_factor]
    d_initial_state, (totals,) = _scan(one_position, nothing, sequences, outputs=1, reverse=True)
    of_gates = [update_factor * totals, reset_factor * totals]
    return d_initial_state, [*of_gates, candidate_factor * totals], [*of_gates, behind_reset_factor * totals]


def _scan(step, state, sequences, outputs, reverse=False):
    """Calls `step(state, position of each sequence) -> state, list of outputs` for each position in turn.

    Args:
        step: all that it computes is `(batch, units)`.
        state: before the first position, or with `reverse` after the last.
        sequences: a list of `(length, batch, ...)`.
        outputs: how many there are.
        reverse: whether the last position comes first.

    Returns:
        The last state, and a list of the outputs, each in the order of the positions.
    """
    if keras.backend.backend() != "tensorflow":
        return ops.scan(step, state, sequences, reverse=reverse)
    # Keras's scan for TensorFlow lets positions overlap, though each waits for the one before.
    import tensorflow as tf

    length = ops.shape(sequences[0])[0]  # a number, where it is known beforehand

    def one_position(done, state, arrays):
        at = length - 1 - done if reverse else done
        state, found = step(state, [each[at] for each in sequences])
        return done + 1, state, [array.write(at, each) for array, each in zip(arrays, found, strict=True)]

    arrays = [tf.TensorArray(tf.float32, length, element_shape=(None, state.shape[-1])) for _ in range(outputs)]
    going = lambda done, *_: done < length
    _, state, arrays = tf.while_loop(going, one_position, (0, state, arrays), parallel_iterations=1)
    return state, [array.stack() for array in arrays]


def _next_state(state, gates):
    update, _, candidate, _ = gates
    return update * state + (1 - update) * candidate


def _gates(from_inputs, from_states):
    """Update gate, reset gate, candidate, and what the reset gate is multiplied with, from what each sums up."""
    update, reset = (ops.sigmoid(one + other) for one, other in zip(from_inputs[:2], from_states[:2]))
    return update, reset, ops.tanh(from_inputs[2] + reset * from_states[2]), from_states[2]


def _sums(vectors, matrix, bias):
    """What `vectors @ matrix + bias` adds to update gate, reset gate and candidate."""
    sums = ops.cast(product(ops.cast(_rows(vectors), ops.dtype(matrix)), matrix), "float32") + bias
    return [_like(each, vectors) for each in ops.split(sums, 3, axis=-1)]


def _gradient_of_vectors(matrix, vectors, d_sums):
    """The gradient with respect to the vectors of `_sums`, from those of the sums, each `(length, batch, units)`."""
    d_vectors = product(_joined(d_sums, ops.dtype(matrix)), matrix, transpose_right=True)
    return ops.cast(_like(d_vectors, vectors), ops.dtype(vectors))


def _gradients_of_weights(matrix, vectors, d_sums):
    """The gradients with respect to matrix and bias of `_sums`, from those of the sums, each `(length, batch, units)`."""
    kind = ops.dtype(matrix)
    d_matrix = product(ops.cast(_rows(vectors), kind), _joined(d_sums, kind), transpose_left=True)
    return d_matrix, ops.concatenate([ops.sum(_rows(each), axis=0) for each in d_sums])


def _joined(sums, kind):
    """Rows of what belongs to update gate, reset gate and candidate, side by side as the matrices have them."""
    return ops.concatenate([ops.cast(_rows(each), kind) for each in sums], axis=-1)


def _rows(vectors):
    return ops.reshape(vectors, [-1, vectors.shape[-1]])


def _like(rows, vectors):
    """The rows in the places of the vectors."""
    return ops.reshape(rows, [*ops.shape(vectors)[:-1], rows.shape[-1]])
