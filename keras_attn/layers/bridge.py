"""The bridge: from the encoder's final state to the decoder's first."""

import itertools

import keras

BRIDGES = ("dense", "copy")


@keras.saving.register_keras_serializable(package="keras_attn")
class Bridge(keras.layers.Layer):
    """Starts the decoder where the encoder stopped, even where the two differ in size or depth.

    Decoder layer `i` starts from encoder layer `i`, or from the last one where the encoder has fewer.

    Args:
        units: size of the decoder's state.
        layers: how many layers the decoder has.
        kind: `"dense"`, `tanh(W state + b)` with its own `W` and `b` for each tensor of each layer; or `"copy"`, the
            state as it is.

    Call arguments:
        state: a list for each encoder layer, of tensors `(batch, memory_units)`.

    Output:
        A list for each decoder layer, of as many tensors `(batch, units)`.

    Raises:
        ValueError: the kind is unknown; or it is `"copy"` and the sizes differ.

    Source: Bahdanau et al. 2015, appendix A.2.2 (dense); Sutskever et al. 2014 (copy).
    """

    def __init__(self, units, layers=1, kind="dense", **kwargs):
        super().__init__(**kwargs)
        if kind not in BRIDGES:
            raise ValueError(f"bridge is {kind!r}, but only {' and '.join(map(repr, BRIDGES))} are known.")
        self.units = units
        self.layers = layers
        self.kind = kind
        self.projections = []  # in the order of the tensors; Keras does not save the weights in a list of lists

    def build(self, state_shape):
        for shape in itertools.chain(*self._for_each_decoder_layer(state_shape)):
            if self.kind == "copy" and shape[-1] != self.units:
                raise ValueError(
                    f"bridge='copy' needs states of the same size, but the encoder's has {shape[-1]} units and the "
                    f"decoder's {self.units}; use bridge='dense' or make them equal."
                )
            if self.kind == "dense":
                projection = keras.layers.Dense(self.units, activation="tanh", dtype=self.dtype_policy)
                projection.build(shape)
                self.projections.append(projection)

    def call(self, state):
        state = self._for_each_decoder_layer(state)
        if self.kind == "copy":
            return state
        projections = iter(self.projections)
        return [[next(projections)(tensor) for tensor in tensors] for tensors in state]

    def compute_output_shape(self, state_shape):
        return [[(shape[0], self.units) for shape in shapes] for shapes in self._for_each_decoder_layer(state_shape)]

    def _for_each_decoder_layer(self, state):
        return [list(state[min(i, len(state) - 1)]) for i in range(self.layers)]

    def get_config(self):
        return {**super().get_config(), "units": self.units, "layers": self.layers, "kind": self.kind}
