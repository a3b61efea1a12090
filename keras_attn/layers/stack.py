"""Recurrent layers on top of each other: what encoder and decoder have in common."""

import contextlib

import keras
from keras import ops

from keras_attn.errors import InputError, require_count
from keras_attn.kernels.backend import has_no_faster_layers
from keras_attn.kernels.recurrence import gated_recurrence, gated_step


class GRU(keras.layers.GRU):
    """Keras's own, but faster on a processor under TensorFlow."""

    def inner_loop(self, sequences, initial_state, mask, training=False):
        if not has_no_faster_layers() or self._leaves_to_keras(training):
            return super().inner_loop(sequences, initial_state, mask, training)
        if self.go_backwards:
            sequences, mask = ops.flip(sequences, axis=1), None if mask is None else ops.flip(mask, axis=1)
        states = gated_recurrence(*self._in_its_types(sequences, initial_state[0]), mask, *self._cell_weights())
        return states[:, -1], states, [states[:, -1]]

    def step(self, inputs, states, training=False):
        """What the layer's cell does: one position further."""
        if self._leaves_to_keras(training):
            return self.cell(inputs, states, training=training)
        state = gated_step(*self._in_its_types(inputs, states[0]), *self._cell_weights())
        state = ops.cast(state, ops.dtype(states[0]))
        return state, [state]

    def _leaves_to_keras(self, training):
        return self.compute_dtype == "float64" or (training and self.recurrent_dropout)

    def _in_its_types(self, inputs, state):
        return ops.cast(inputs, self._type_of_products), ops.cast(state, "float32")

    def _cell_weights(self):
        matrices = (ops.cast(each, self._type_of_products) for each in (self.cell.kernel, self.cell.recurrent_kernel))
        return *matrices, ops.cast(self.cell.bias, "float32")

    @property
    def _type_of_products(self):
        return "bfloat16" if self.compute_dtype == "bfloat16" else "float32"


CELLS = {"gru": GRU, "lstm": keras.layers.LSTM}


class _Orthogonal(keras.initializers.Orthogonal):
    """Keras's own, which cannot compute in bfloat16: computed in float32 there, and rounded."""

    def __call__(self, shape, dtype=None):
        if dtype != "bfloat16":
            return super().__call__(shape, dtype)
        return ops.cast(super().__call__(shape, "float32"), dtype)


class _BothWays(keras.layers.Layer):
    """Two recurrent layers side by side, the second from the last position to the first; outputs and states joined.

    Not `keras.layers.Bidirectional`: that one serialises its layers and deserialises them again, and while a model is
    being loaded, Keras tells layers apart by their `id`, which Python gives again once a layer is gone. Loading would
    fail by chance.
    """

    def __init__(self, forward_layer, backward_layer, **kwargs):
        super().__init__(name="both_ways", **kwargs)  # TensorFlow takes no name that begins with an underscore
        self.supports_masking = True
        self.forward_layer = forward_layer
        self.backward_layer = backward_layer

    def build(self, inputs_shape):
        self.forward_layer.build(inputs_shape)
        self.backward_layer.build(inputs_shape)

    def call(self, inputs, mask=None, training=None):
        there, *state = self.forward_layer(inputs, mask=mask, training=training)
        back, *back_state = self.backward_layer(inputs, mask=mask, training=training)
        outputs = ops.concatenate([there, ops.flip(back, axis=1)], axis=-1)
        return outputs, *(ops.concatenate(pair, axis=-1) for pair in zip(state, back_state))


@keras.saving.register_keras_serializable(package="keras_attn")
class RecurrentStack(keras.layers.Layer):
    """Recurrent layers on top of each other, with dropout, residual connections and normalisation in between.

    For each layer, from the bottom up: dropout of its input; the recurrent layer; its input added to its output
    (`residual`, from the second layer on and where both are of the same size); layer normalisation.

    Args:
        units: size of the state of each layer and direction.
        layers: how many.
        cell: `"gru"` or `"lstm"`.
        bidirectional: whether each layer reads in both directions, side by side; `"first"`, only the lowest.
        residual: whether to add the residual connections.
        layer_normalization: whether to normalise each layer's output.
        dropout: share of each layer's input that training sets to zero, anew at each position.
        recurrent_dropout: share of the state that training hides from the next position, the same at all positions
            (variational).

    Call arguments:
        inputs: `(batch, length, input_units)`.
        initial_state: optional list for each layer, of as many tensors `(batch, units)` as the cell's state has; for a
            stack that reads forward.
        mask: optional boolean `(batch, length)`, true where there is something.
        training: whether dropout is on.

    Output:
        A pair. Outputs: `(batch, length, output_units)`. Final state: a list for each layer, of tensors
        `(batch, units)`, twice as wide where the layer reads both ways.

    Raises:
        InputError: the cell is unknown, or another argument is out of its range.

    Source: Wu et al. 2016 (arXiv 1609.08144), section 3 (residual); Ba et al. 2016 (arXiv 1607.06450); Gal and
    Ghahramani 2016 (arXiv 1512.05287), variational dropout of the state.
    """

    def __init__(
        self,
        units,
        layers=1,
        cell="gru",
        bidirectional=False,
        residual=False,
        layer_normalization=False,
        dropout=0.0,
        recurrent_dropout=0.0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.supports_masking = True  # a mask that rides on a tensor is neither needed nor passed on
        if cell not in CELLS:
            raise InputError(f"cell is {cell!r}, but only {' and '.join(map(repr, CELLS))} are known.")
        require_count(units=units, layers=layers)
        if not 0 <= recurrent_dropout < 1:  # Keras would take it for 0 or 1
            raise InputError(f"recurrent_dropout is {recurrent_dropout}, but it must be 0 or more and below 1.")
        if bidirectional not in (True, False, "first"):
            raise InputError(f"bidirectional is {bidirectional!r}, but only True, False and 'first' are known.")
        self.units = units
        self.cell = cell
        self.bidirectional = bidirectional
        self.residual = residual
        self.layer_normalization = layer_normalization
        self.recurrent_dropout = recurrent_dropout
        self.side_units = (0,) * layers
        policy = {"dtype": self.dtype_policy}
        self.dropout = keras.layers.Dropout(dropout, **policy)
        self.recurrent = []
        for index in range(layers):
            options = {
                "return_sequences": True,
                "return_state": True,
                "recurrent_dropout": recurrent_dropout,
                "recurrent_initializer": _Orthogonal,  # made by the layer, so that it draws its seed where Keras's own does
                **policy,
            }
            layer = CELLS[cell](units, **options)
            if self._both_ways(index):
                layer = _BothWays(layer, CELLS[cell](units, go_backwards=True, **options), **policy)
            self.recurrent.append(layer)
        self.norms = [keras.layers.LayerNormalization(**policy) for _ in range(layers if layer_normalization else 0)]

    @property
    def depth(self):
        """How many layers there are. (What a layer calls `layers`, Keras takes for a list of them.)"""
        return len(self.recurrent)

    @property
    def residual_connections(self):
        """How many layers have a residual connection."""
        return sum(self._adds_input(index) for index in range(self.depth))

    @property
    def output_units(self):
        """Size of the outputs."""
        return self._output_units(self.depth - 1)

    @property
    def state_shape(self):
        """Shapes of the state: a list for each layer, of one shape (GRU: hidden state) or two (LSTM: hidden and cell)."""
        tensors = {"gru": 1, "lstm": 2}[self.cell]
        return [[(None, self._output_units(index))] * tensors for index in range(self.depth)]

    def join(self, side_units):
        """Says before `build`, for each layer, how many units `step` joins to its input; by default none."""
        self.side_units = tuple(side_units)

    def build(self, inputs_shape):
        size = inputs_shape[-1]
        for index, layer in enumerate(self.recurrent):
            layer.build((None, None, size + self.side_units[index]))
            size = self._output_units(index)
            if self.norms:
                self.norms[index].build((None, None, size))

    def call(self, inputs, initial_state=None, mask=None, training=None):
        outputs = inputs
        state = []
        for index, layer in enumerate(self.recurrent):
            below = outputs
            start = {"initial_state": initial_state[index]} if initial_state else {}
            outputs, *final = layer(self.dropout(below, training=training), mask=mask, training=training, **start)
            state.append(final)
            outputs = self._finish(index, below, outputs)
        return outputs, state

    def step(self, inputs, state, side=None, keep=None, training=None):
        """One position further (for a stack that reads forward).

        Args:
            inputs: `(batch, input_units)`.
            state: a list for each layer, as in a call.
            side: `(batch, side_units)`, joined to the input of the layers that `join` named.
            keep: the dropout of this position, from `draw`.
            training: whether recurrent dropout is on; all steps of a target then go within `one_recurrent_dropout`.

        Returns:
            Output `(batch, output_units)` and the new state.
        """
        output = inputs
        new_state = []
        for index, layer in enumerate(self.recurrent):
            below = output
            read = ops.concatenate([below, side], axis=-1) if self.side_units[index] else below
            if keep:
                read = read * keep[index]
            step = getattr(layer, "step", layer.cell)  # Keras's own layers leave steps to their cells
            output, layer_state = step(read, state[index], training=training)
            new_state.append(list(layer_state) if isinstance(layer_state, (list, tuple)) else [layer_state])
            output = self._finish(index, below, output)
        return output, new_state

    def draw(self, inputs, training=None):
        """The dropout of a whole target, for `step`: factors `(batch, length, size of the layer's input)` for each
        layer; an empty list where there is none."""
        if not training or not self.dropout.rate:
            return []
        batch, length, size = ops.shape(inputs)
        factors = []
        for index in range(self.depth):
            shape = (batch, length, size + self.side_units[index])
            factors.append(self.dropout(ops.ones(shape, self.compute_dtype), training=True))
            size = self.units
        return factors

    @contextlib.contextmanager
    def one_recurrent_dropout(self, state, training=None):
        """All calls of `step` within it hide the same units of the state, which are drawn here for each sentence."""
        if training:
            for layer, (hidden, *_) in zip(self.recurrent, state):
                layer.cell.get_recurrent_dropout_mask(hidden)
        try:
            yield
        finally:
            for layer in self.recurrent:
                layer.cell.reset_recurrent_dropout_mask()

    def _finish(self, index, below, outputs):
        if self._adds_input(index):
            outputs = outputs + below
        return self.norms[index](outputs) if self.norms else outputs

    def _adds_input(self, index):
        return self.residual and index > 0 and self._output_units(index - 1) == self._output_units(index)

    def _both_ways(self, index):
        return index == 0 if self.bidirectional == "first" else self.bidirectional

    def _output_units(self, index):
        return self.units * (2 if self._both_ways(index) else 1)

    def compute_mask(self, inputs, previous_mask=None):
        return None

    def get_config(self):
        return {
            **super().get_config(),
            "units": self.units,
            "layers": self.depth,
            "cell": self.cell,
            "bidirectional": self.bidirectional,
            "residual": self.residual,
            "layer_normalization": self.layer_normalization,
            "dropout": self.dropout.rate,
            "recurrent_dropout": self.recurrent_dropout,
        }
