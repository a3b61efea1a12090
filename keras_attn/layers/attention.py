"""Dot-product attention with the call of a Bahdanau attention layer."""

import keras
from keras import ops

from keras_attn import functional


@keras.saving.register_keras_serializable(package="keras_attn")
class BahdanauStyleDotAttention(keras.layers.Layer):
    """Looks at the values with a query, and says where it looked.

    The call is the one that Bahdanau-attention layers have in the tutorials people know, `(query, values) ->
    (context vector, attention weights)`, with the dot product as its score instead of the additive network:

    1. keys: the values, or their projection to the query's size;
    2. scores: `query · key`, divided by `√units` if `scaled`;
    3. attention weights: softmax of the scores over the unmasked source positions;
    4. context vector: the sum of the values, each times its weight.

    Args:
        project_keys: `True` puts a matrix (without bias) between values and keys, `False` uses the values as keys,
            `None` projects only where query and values differ in size.
        scaled: whether to divide the scores by the square root of the query's size.
        dropout: share of the weights that training sets to zero, from 0 up to, but without, 1.
        seed: optional seed of the dropout.

    Call arguments:
        query: `(batch, units)` for one step, or `(batch, target_length, units)` for a whole target.
        values: `(batch, source_length, memory_units)`.
        mask: optional boolean `(batch, source_length)`, true where there is a token.
        keys: optional result of `project(values)`, for a caller who asks about the same values many times.
        training: whether dropout is on.

    Output:
        A pair. Context vector: `(batch, memory_units)`, or `(batch, target_length, memory_units)`. Attention
        weights before dropout, in float32: `(batch, source_length)`, or `(batch, target_length, source_length)`;
        a row without any token has the weight zero everywhere.

    Raises:
        ValueError: `project_keys` is `False` and query and values differ in size.

    Example:
        >>> attention = BahdanauStyleDotAttention()
        >>> context, weights = attention(keras.ops.ones((2, 8)), keras.ops.ones((2, 5, 8)))
        >>> context.shape, weights.shape
        (TensorShape([2, 8]), TensorShape([2, 5]))

    Source: Luong et al. 2015, section 3.1 (dot, general); Vaswani et al. 2017, section 3.2.1 (scaled).
    """

    def __init__(self, project_keys=None, scaled=False, dropout=0.0, seed=None, **kwargs):
        super().__init__(**kwargs)
        self.supports_masking = True  # a mask that rides on the values is neither needed nor passed on
        self.project_keys = project_keys
        self.scaled = scaled
        self.seed = seed
        self.dropout = keras.layers.Dropout(dropout, seed=seed, dtype=self.dtype_policy)
        self.projection = None

    def build(self, query_shape, values_shape):
        units, memory_units = query_shape[-1], values_shape[-1]
        project = units != memory_units if self.project_keys is None else self.project_keys
        if not project and units != memory_units:
            raise ValueError(
                f"project_keys=False needs query and values of the same size, but query has the shape "
                f"{tuple(query_shape)} and values {tuple(values_shape)}; use project_keys=None or True."
            )
        if project:
            self.projection = keras.layers.Dense(units, use_bias=False, name="keys", dtype=self.dtype_policy)
            self.projection.build(values_shape)

    def project(self, values):
        """The keys of these values: `(batch, source_length, memory_units)` to `(batch, source_length, units)`."""
        return values if self.projection is None else self.projection(values)

    def call(self, query, values, mask=None, keys=None, training=None):
        one_step = len(query.shape) == 2
        if one_step:
            query = ops.expand_dims(query, 1)
        if keys is None:
            keys = self.project(values)
        score = functional.scaled_dot_score if self.scaled else functional.dot_score
        weights = functional.attention_weights(score(query, keys), mask)
        context = functional.context_vector(self.dropout(weights, training=training), values)
        if one_step:
            context, weights = ops.squeeze(context, 1), ops.squeeze(weights, 1)
        return context, weights

    def compute_mask(self, query, previous_mask=None):
        return None

    def compute_output_shape(self, query_shape, values_shape):
        leading = tuple(query_shape[:-1])
        return leading + (values_shape[-1],), leading + (values_shape[-2],)

    def compute_output_spec(self, query, values, mask=None, keys=None, training=None):
        context, weights = self.compute_output_shape(query.shape, values.shape)
        return keras.KerasTensor(context, self.compute_dtype), keras.KerasTensor(weights, "float32")

    def get_config(self):
        return {
            **super().get_config(),
            "project_keys": self.project_keys,
            "scaled": self.scaled,
            "dropout": self.dropout.rate,
            "seed": self.seed,
        }
