"""The bridge: from the encoder's final state to the decoder's first."""

import keras
from keras import ops

from keras_attn.errors import InputError
from keras_attn.layers.parts import Dense

BRIDGES = ("dense", "copy", "mean", "zero")


@keras.saving.register_keras_serializable(package="keras_attn")
class Bridge(keras.layers.Layer):
    """Starts the decoder, even where encoder and decoder differ in size or depth.

    Decoder layer `i` starts from encoder layer `i`, or from the last one where the encoder has fewer.

    Args:
        units: size of the decoder's state.
        layers: how many layers the decoder has.
        kind: what each tensor of each layer starts from. `"dense"`: `tanh(W state + b)` with its own `W` and `b`.
            `"copy"`: the state as it is. `"mean"`: `tanh(W mean + b)` with the mean of the encoder's values over all
            tokens. `"zero"`: zeros.

    Call arguments:
        state: the encoder's final state, a list for each layer, of tensors `(batch, state_units)`.
        values: `(batch, source_length, memory_units)`, which only `"mean"` looks at.
        mask: boolean `(batch, source_length)`, true where there is a token.

    Output:
        A list for each decoder layer, of as many tensors `(batch, units)`.

    Raises:
        InputError: the kind is unknown; or it is `"copy"` and the sizes differ.

    Source: Bahdanau et al. 2015, appendix A.2.2 (dense); Sutskever et al. 2014 (copy); Sennrich et al. 2017
    (arXiv 1703.04357), section 2 (mean).
    """

    def __init__(self, units, layers=1, kind="dense", **kwargs):
        super().__init__(**kwargs)
        if kind not in BRIDGES:
            raise InputError(f"kind is {kind!r}, but only {', '.join(map(repr, BRIDGES))} are known.")
        self.units = units
        self.depth = layers  # what a layer calls `layers`, Keras takes for a list of them
        self.kind = kind
        self.projections = []  # in the order of the tensors; Keras does not save the weights in a list of lists

    def build(self, state_shape, values_shape):
        for shapes in self._for_each_decoder_layer(state_shape):
            for shape in shapes:
                if self.kind == "copy" and shape[-1] != self.units:
                    raise InputError(
                        f"A bridge of the kind 'copy' needs states of the same size, but the encoder's has {shape[-1]} units and the "
                        f"decoder's {self.units}; use 'dense' or make them equal."
                    )
                if self.kind in ("dense", "mean"):
                    projection = Dense(self.units, activation="tanh", dtype=self.dtype_policy)
                    projection.build(values_shape if self.kind == "mean" else shape)
                    self.projections.append(projection)

    def call(self, state, values, mask):
        state = self._for_each_decoder_layer(state)
        if self.kind == "copy":
            return state
        if self.kind == "zero":
            nothing = ops.zeros((ops.shape(values)[0], self.units), self.compute_dtype)
            return [[nothing for _ in tensors] for tensors in state]
        projections = iter(self.projections)
        if self.kind == "mean":
            mean = _mean(values, mask)
            return [[next(projections)(mean) for _ in tensors] for tensors in state]
        return [[next(projections)(tensor) for tensor in tensors] for tensors in state]

    def _for_each_decoder_layer(self, state):
        return [list(state[min(i, len(state) - 1)]) for i in range(self.depth)]

    def get_config(self):
        return {**super().get_config(), "units": self.units, "layers": self.depth, "kind": self.kind}


def _mean(values, mask):
    """The mean of the values at the tokens, zero where there is none: `(batch, memory_units)`."""
    mask = ops.expand_dims(mask, -1)
    # In float16, neither the sum over a long source nor the number of its tokens is exact.
    wide = keras.backend.result_type(ops.dtype(values), "float32")
    total = ops.sum(ops.where(mask, ops.cast(values, wide), 0.0), axis=1)
    tokens = ops.sum(ops.cast(mask, wide), axis=1)
    return ops.cast(total / ops.maximum(tokens, 1.0), ops.dtype(values))
