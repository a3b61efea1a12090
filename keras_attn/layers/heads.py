"""Several attention heads: smaller spaces to look in, and one context vector from all of them."""

import keras
from keras import ops

from keras_attn.errors import InputError
from keras_attn.layers.parts import Matrix


class Heads(keras.layers.Layer):
    """The projections of queries, keys and values into the spaces of the heads, and of their contexts back.

    Args:
        heads: how many.

    Source: Vaswani et al. 2017, section 3.2.2.
    """

    def __init__(self, heads, **kwargs):
        super().__init__(**kwargs)
        self.supports_masking = True
        self.heads = heads

    def build(self, query_shape, values_shape):
        units = query_shape[-1]
        if units % self.heads:
            raise InputError(f"{self.heads} heads cannot share {units} units; choose units that {self.heads} divides.")
        for name, shape in {
            "to_queries": query_shape,
            "to_keys": values_shape,
            "to_values": values_shape,
            "to_context": query_shape,
        }.items():
            projection = Matrix(units, name=name, dtype=self.dtype_policy)
            projection.build(shape)
            setattr(self, name, projection)
        self.head_shape = (None, self.heads, None, units // self.heads)

    def queries(self, query):
        """`(batch, target_length, units)` to `(batch, heads, target_length, units / heads)`."""
        return self._split(self.to_queries(query))

    def keys(self, values):
        """`(batch, source_length, memory_units)` to `(batch, heads, source_length, units / heads)`."""
        return self._split(self.to_keys(values))

    def values(self, values):
        """`(batch, source_length, memory_units)` to `(batch, heads, source_length, units / heads)`."""
        return self._split(self.to_values(values))

    def context(self, contexts):
        """`(batch, heads, target_length, units / heads)` to `(batch, target_length, units)`."""
        batch, heads, length, units = ops.shape(contexts)
        side_by_side = ops.reshape(ops.transpose(contexts, (0, 2, 1, 3)), (batch, length, heads * units))
        return self.to_context(side_by_side)

    def _split(self, vectors):
        batch, length, units = ops.shape(vectors)
        return ops.transpose(ops.reshape(vectors, (batch, length, self.heads, units // self.heads)), (0, 2, 1, 3))
