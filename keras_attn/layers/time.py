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
    cell = _Cell(step, state, outputs, inputs)
    loop = keras.layers.RNN(cell, return_sequences=True, dtype=cell.compute_dtype)
    return _take_apart(loop(cell.join(inputs), initial_state=cell.in_its_type(state)), outputs)


class _Cell:
    """The step as Keras's RNN wants it: all in float32, or in float64 where anything is."""

    def __init__(self, step, state, outputs, inputs):
        tensors = keras.tree.flatten((state, outputs, inputs))
        self.compute_dtype = keras.backend.result_type("float32", *map(ops.dtype, tensors))
        self.step = step
        self.state = state
        self.outputs = outputs
        self.inputs = inputs
        self.state_size = [tensor.shape[-1] for tensor in keras.tree.flatten(state)]

    def __call__(self, inputs, states):
        return self.call(inputs, states)

    def call(self, inputs, states):
        outputs, state = self.step(_take_apart(inputs, self.inputs), _like(self.state, states))
        return self.join(outputs), self.in_its_type(state)

    def join(self, structure):
        """All tensors of a structure side by side, in one."""
        return ops.concatenate(self.in_its_type(structure), axis=-1)

    def in_its_type(self, structure):
        return [ops.cast(tensor, self.compute_dtype) for tensor in keras.tree.flatten(structure)]


def _take_apart(joined, structure):
    """A structure of tensors as wide as those of `structure`, from one tensor with all of them side by side."""
    widths = [ops.shape(tensor)[-1] for tensor in keras.tree.flatten(structure)]
    ends = list(itertools.accumulate(widths, initial=0))
    return _like(structure, [joined[..., start:end] for start, end in itertools.pairwise(ends)])


def _like(structure, tensors):
    """The tensors in the places and types of the structure's own."""
    types = [ops.dtype(tensor) for tensor in keras.tree.flatten(structure)]
    return keras.tree.pack_sequence_as(structure, [ops.cast(tensor, kind) for tensor, kind in zip(tensors, types)])
