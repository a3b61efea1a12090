"""Going through a target one position after the other, for what needs its own earlier results."""

import itertools

import keras
from keras import ops


def over_time(step, state, outputs, inputs):
    """Calls `step` for each position in turn, each time with the state after the position before.

    Nothing random may happen in a step: what JAX draws in a loop cannot leave it. Draw before and hand it in.

    Args:
        step: `step(inputs, state) -> outputs, state`.
        state: before the first position, a nested structure of tensors `(batch, ...)`; every step returns the same
            structure, types and shapes.
        outputs: a nested structure of tensors `(batch, units)`, of the types and shapes that every step returns.
        inputs: a nested structure of tensors `(batch, target_length, units)`, each with units of its own; a step gets
            those of its position, `(batch, units)`.

    Returns:
        The outputs of all positions, a structure like `outputs` of tensors `(batch, target_length, units)`.
    """
    # A Keras RNN takes one tensor, returns one tensor, and keeps all states in one type.
    loop = keras.layers.RNN(_Cell(step, state, outputs, inputs), return_sequences=True, dtype="float32")
    return _take_apart(loop(_join(inputs), initial_state=_as_float32(state)), outputs)


class _Cell:
    """The step as Keras's RNN wants it."""

    compute_dtype = "float32"

    def __init__(self, step, state, outputs, inputs):
        self.step = step
        self.state = state
        self.outputs = outputs
        self.inputs = inputs
        self.state_size = [tensor.shape[-1] for tensor in keras.tree.flatten(state)]

    def __call__(self, inputs, states):
        return self.call(inputs, states)

    def call(self, inputs, states):
        outputs, state = self.step(_take_apart(inputs, self.inputs), _like(self.state, states))
        return _join(outputs), _as_float32(state)


def _join(structure):
    """All tensors of a structure side by side, in one."""
    return ops.concatenate(_as_float32(structure), axis=-1)


def _take_apart(joined, structure):
    """A structure of tensors as wide as those of `structure`, from one tensor with all of them side by side."""
    widths = [ops.shape(tensor)[-1] for tensor in keras.tree.flatten(structure)]
    ends = list(itertools.accumulate(widths, initial=0))
    return _like(structure, [joined[..., start:end] for start, end in itertools.pairwise(ends)])


def _as_float32(structure):
    return [ops.cast(tensor, "float32") for tensor in keras.tree.flatten(structure)]


def _like(structure, tensors):
    """The tensors in the places and types of the structure's own."""
    types = [ops.dtype(tensor) for tensor in keras.tree.flatten(structure)]
    return keras.tree.pack_sequence_as(structure, [ops.cast(tensor, kind) for tensor, kind in zip(tensors, types)])
