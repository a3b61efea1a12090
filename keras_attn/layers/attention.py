"""Attention: a score, an alignment, and the context vector that comes of them."""

import keras
from keras import ops

from keras_attn import functional
from keras_attn.errors import InputError, require_count
from keras_attn.layers.alignments import ALIGNMENTS, Alignment, MonotonicAlignment
from keras_attn.layers.heads import Heads
from keras_attn.layers.memory import Memory
from keras_attn.layers.parts import part
from keras_attn.layers.scores import SCORES, DotScore, Score
from keras_attn.layers.time import over_time


@keras.saving.register_keras_serializable(package="keras_attn")
class Attention(keras.layers.Layer):
    """Looks at the values with a query, and says where it looked.

    1. keys: the values as the score compares them with a query;
    2. scores: how well the query fits each key;
    3. attention weights: what the alignment makes of the scores, over the unmasked source positions;
    4. context vector: the sum of the values, each times its weight.

    With several heads, query, keys and values are projected into as many smaller spaces, each is attended to by
    itself, and the context vectors are joined and projected once more. The heads share the weights of the score.

    Args:
        score: a name, `"dot"`, `"scaled-dot"`, `"general"`, `"cosine"`, `"additive"`, `"normalized-additive"` or
            `"location"`; or a layer, such as `AdditiveScore(coverage=True)`.
        alignment: a name, `"global"`, `"local-m"`, `"local-p"` or `"monotonic"`; or a layer, such as
            `LocalAlignment(window=5)`. Of a layer the attention makes its own copy, with that layer's precision.
        heads: how many.
        dropout: share of the weights that training sets to zero, from 0 up to, but without, 1; the same for all heads.
        seed: optional seed of the dropout and of the alignment's noise.

    Call arguments:
        query: `(batch, units)` for one step, or `(batch, target_length, units)` for a whole target.
        values: `(batch, source_length, memory_units)`.
        mask: optional boolean `(batch, source_length)`, true where there is a token.
        keys: optional; with them, values and keys are those of `remember(values)`, for a caller who asks about the same
            values many times.
        history: optional, see `first_history`; without it, the first query has nothing before it.
        draws: optional, see `draw`; without them, the layer draws itself.
        training: whether dropout and noise are on.

    Output:
        A pair. Context vector: `(batch, memory_units)`, or `(batch, target_length, memory_units)`; with several heads
        `units` instead of `memory_units`. Attention weights before dropout, in float32 (or float64, where the layer is):
        `(batch, source_length)`, or `(batch, target_length, source_length)`; with several heads `(batch, heads, ...)`. A
        row without any token has the weight zero everywhere.

    Raises:
        InputError: a name is unknown, or score, alignment, heads and sizes do not go together.

    Example:
        >>> attention = Attention("additive")
        >>> context, weights = attention(keras.ops.ones((2, 8)), keras.ops.ones((2, 5, 8)))
        >>> context.shape, weights.shape
        (TensorShape([2, 8]), TensorShape([2, 5]))

    Source: Bahdanau et al. 2015, section 3.1; Luong et al. 2015, section 3; Vaswani et al. 2017, section 3.2.2 (heads).
    """

    def __init__(self, score="dot", alignment="global", heads=1, dropout=0.0, seed=None, **kwargs):
        super().__init__(autocast=False, **kwargs)  # the history stays in float32, whatever the rest is computed in
        self.supports_masking = True  # a mask that rides on the values is neither needed nor passed on
        self.score = self._part("score", score, Score, SCORES)
        self.alignment = self._part("alignment", alignment, Alignment, ALIGNMENTS)
        if not 0 <= dropout < 1:
            raise InputError(f"dropout is {dropout}, but it must be 0 or more and below 1.")
        self.heads = heads
        self.seed = seed
        self.dropout = keras.layers.Dropout(dropout, seed=seed, dtype=self.dtype_policy)
        self.random = keras.random.SeedGenerator(seed)
        self.split = Heads(heads, dtype=self.dtype_policy) if heads > 1 else None
        self._refuse_what_heads_cannot_do()

    @property
    def weights_dtype(self):
        """The type of the attention weights: float32, whatever the rest is computed in, unless that is float64."""
        return keras.backend.result_type(self.compute_dtype, "float32")

    @property
    def needs(self):
        """What this attention must know of earlier queries: `position`, `previous`, `coverage`, or nothing."""
        return (*self.alignment.needs, *(["coverage"] if self.score.needs_coverage else []))

    def build(self, query_shape, values_shape):
        self.alignment.build(query_shape)
        if self.split is None:
            self.score.build(query_shape, values_shape)
            return
        self.split.build(query_shape, values_shape)
        self.score.build(self.split.head_shape, self.split.head_shape)

    def remember(self, values, mask=None):
        """What all queries about these values share.

        Args:
            values: `(batch, source_length, memory_units)`.
            mask: optional boolean `(batch, source_length)`.

        Returns:
            `Memory`, whose fields are arguments of a call.

        Raises:
            InputError: the layer has no weights yet.
        """
        if not self.score.built:
            raise InputError("This attention has no weights yet; call it once, or its build(), before remember().")
        if mask is None:
            mask = _nothing_masked(values)
        values = ops.cast(values, self.compute_dtype)
        if self.split is None:
            return Memory(values, self.score.project(values), mask)
        return Memory(self.split.values(values), self.score.project(self.split.keys(values)), mask)

    def first_history(self, memory):
        """What is known of earlier queries when there were none: a dictionary with an entry for each of `needs`."""
        nothing = ops.zeros_like(memory.mask, self.weights_dtype)
        first = {
            "position": lambda: ops.sum(ops.zeros_like(memory.mask, "int32"), axis=1),
            "previous": lambda: nothing + ops.cast(ops.equal(ops.arange(ops.shape(nothing)[1]), 0), nothing.dtype),
            "coverage": lambda: nothing,
        }
        return {name: first[name]() for name in self.needs}

    def next_history(self, history, weights):
        """What is known after one more query, whose weights were `(batch, source_length)`."""
        following = {
            "position": lambda position: position + 1,
            "previous": lambda previous: weights,
            "coverage": lambda coverage: coverage + weights,
        }
        return {name: following[name](value) for name, value in history.items()}

    def draw(self, target_length, memory, training=None):
        """The random numbers that a whole target takes: a dictionary, empty where there are none.

        Returns:
            Tensors `(batch, target_length, source_length)`: `noise` to add to the scores, `keep` to multiply the
            weights with.
        """
        if not training:
            return {}
        batch, source_length = ops.shape(memory.mask)
        shape = (batch, target_length, source_length)
        draws = {}
        if self.alignment.noise:
            options = {"stddev": self.alignment.noise, "dtype": self.weights_dtype, "seed": self.random}
            draws["noise"] = keras.random.normal(shape, **options)
        if self.dropout.rate:
            draws["keep"] = self.dropout(ops.ones(shape, self.compute_dtype), training=True)
        return draws

    def call(self, query, values, mask=None, keys=None, history=None, draws=None, training=None):
        one_step = len(query.shape) == 2
        query = ops.cast(query, self.compute_dtype)
        if one_step:
            query = ops.expand_dims(query, 1)
        if mask is None:
            mask = _nothing_masked(values)
        memory = self.remember(values, mask) if keys is None else Memory(values, keys, mask)
        if history is None:
            history = self.first_history(memory)
        if draws is None:
            draws = self.draw(ops.shape(query)[1], memory, training)
        elif one_step:
            draws = {name: ops.expand_dims(tensor, 1) for name, tensor in draws.items()}
        weights = self._weigh(query, memory, history, draws.get("noise"), training)
        context = self._context(weights, memory.values, draws.get("keep"))
        if one_step:
            context, weights = ops.squeeze(context, 1), ops.squeeze(weights, -2)
        return context, weights

    def scores(self, query, memory, history):
        """How well queries fit the keys, before any alignment.

        Args:
            query: `(batch, target_length, units)`; with coverage, a target length of one.
            memory: `Memory` from `remember`.
            history: see `first_history`.

        Returns:
            `(batch, target_length, source_length)`, or with heads `(batch, heads, target_length, source_length)`.
        """
        if self.split is not None:
            query = self.split.queries(query)
        return self.score(query, memory.keys, coverage=history.get("coverage"))

    def _weigh(self, query, memory, history, noise, training):
        one_at_a_time = {"previous", "coverage"} & set(self.needs)
        if one_at_a_time and query.shape[1] != 1:
            return self._weigh_one_at_a_time(query, memory, history, noise, training)
        scores = self.scores(query, memory, history)
        return self.alignment(scores, query, memory.mask, history, noise=noise, training=training)

    def _weigh_one_at_a_time(self, query, memory, history, noise, training):
        def step(inputs, history):
            inputs = {name: ops.expand_dims(tensor, 1) for name, tensor in inputs.items()}
            weights = self._weigh(inputs["query"], memory, history, inputs.get("noise"), training)
            weights = ops.squeeze(weights, 1)
            return weights, self.next_history(history, weights)

        inputs = {"query": query} if noise is None else {"query": query, "noise": noise}
        return over_time(step, history, ops.zeros_like(memory.mask, self.weights_dtype), inputs)

    def _context(self, weights, values, keep):
        if keep is not None:
            weights = weights * ops.cast(keep if self.split is None else ops.expand_dims(keep, 1), ops.dtype(weights))
        context = functional.context_vector(weights, values)
        return context if self.split is None else self.split.context(context)

    def _part(self, role, given, kind, known):
        """A layer of this attention's own from a name, a layer, or the configuration of one."""
        if isinstance(given, str) and given in known:
            return known[given](dtype=self.dtype_policy.name)
        given = part(given)
        if not isinstance(given, kind):
            raise InputError(f"{role} is {given!r}, but only {', '.join(known)} are known, and layers of that kind.")
        return type(given).from_config(given.get_config())

    def _refuse_what_heads_cannot_do(self):
        require_count(heads=self.heads)
        if self.heads == 1:
            return
        if not self.score.content_based:
            raise InputError(
                f"{self.heads} heads need a score that compares contents, but the location score looks at none; use one "
                f"head, or another score such as 'scaled-dot'."
            )
        if self.score.needs_coverage or isinstance(self.alignment, MonotonicAlignment):
            which = "coverage" if self.score.needs_coverage else "a monotonic alignment"
            raise InputError(f"{which} follows one row of weights, but there are {self.heads} heads; use one head.")

    def compute_mask(self, query, previous_mask=None):
        return None

    def compute_output_shape(self, query_shape, values_shape):
        leading = tuple(query_shape[:-1])
        heads = () if self.heads == 1 else (self.heads,)
        units = values_shape[-1] if self.heads == 1 else query_shape[-1]
        return (*leading, units), (*leading[:1], *heads, *leading[1:], values_shape[-2])

    def compute_output_spec(self, query, values, mask=None, keys=None, history=None, draws=None, training=None):
        context, weights = self.compute_output_shape(query.shape, values.shape)
        return keras.KerasTensor(context, self.compute_dtype), keras.KerasTensor(weights, self.weights_dtype)

    def get_config(self):
        return {
            **super().get_config(),
            "score": keras.layers.serialize(self.score),
            "alignment": keras.layers.serialize(self.alignment),
            "heads": self.heads,
            "dropout": self.dropout.rate,
            "seed": self.seed,
        }


@keras.saving.register_keras_serializable(package="keras_attn")
class BahdanauStyleDotAttention(Attention):
    """Attention with the dot product, and the call that Bahdanau attention layers have in the tutorials people know.

    `(query, values) -> (context vector, attention weights)`, as there, with `query · key` instead of the additive
    network. Call arguments and output are those of `Attention`.

    Args:
        project_keys: `True` puts a matrix (without bias) between values and keys, `False` uses the values as keys,
            `None` projects only where query and values differ in size.
        scaled: whether to divide the scores by the square root of the query's size.
        dropout: share of the weights that training sets to zero, from 0 up to, but without, 1.
        seed: optional seed of the dropout.

    Raises:
        InputError: `project_keys` is `False` and query and values differ in size.

    Example:
        >>> attention = BahdanauStyleDotAttention()
        >>> context, weights = attention(keras.ops.ones((2, 8)), keras.ops.ones((2, 5, 8)))
        >>> context.shape, weights.shape
        (TensorShape([2, 8]), TensorShape([2, 5]))

    Source: Luong et al. 2015, section 3.1 (dot, general); Vaswani et al. 2017, section 3.2.1 (scaled).
    """

    def __init__(self, project_keys=None, scaled=False, dropout=0.0, seed=None, **kwargs):
        policy = {"dtype": kwargs["dtype"]} if "dtype" in kwargs else {}
        super().__init__(DotScore(scaled, project_keys, **policy), dropout=dropout, seed=seed, **kwargs)

    def get_config(self):
        config = super().get_config()
        for name in ("score", "alignment", "heads"):
            del config[name]
        return {**config, "project_keys": self.score.project_keys, "scaled": self.score.scaled}


def _nothing_masked(values):
    """A mask `(batch, source_length)` for values `(batch, ..., source_length, units)`."""
    return ops.ones((ops.shape(values)[0], ops.shape(values)[-2]), "bool")
