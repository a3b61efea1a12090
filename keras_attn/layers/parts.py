"""Layers as arguments of layers, and as parts of them."""

import keras

from keras_attn import functional


def part(given):
    """A layer that was given as a layer, or by `from_config` as the configuration of one."""
    return keras.layers.deserialize(given) if isinstance(given, dict) else given


class Matrix(keras.layers.Layer):
    """A matrix times vectors, `(..., input_units)` to `(..., units)`: a `Dense` without bias, for use in loops too."""

    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.supports_masking = True
        self.units = units

    def build(self, input_shape):
        self.kernel = self.add_weight(shape=(input_shape[-1], self.units), name="kernel")

    def call(self, vectors):
        return functional.project(vectors, self.kernel)


class Dense(keras.layers.Dense):
    """Keras's own, whose product rounds where products may."""

    def call(self, inputs, training=None):
        return self.activation(functional.project(inputs, self.kernel) + self.bias)
