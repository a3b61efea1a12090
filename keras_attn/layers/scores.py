"""Score functions as layers: how well a query fits each key, with the weights that this takes."""

import keras
from keras import ops

from keras_attn import functional
from keras_attn.errors import InputError, require_count
from keras_attn.layers.parts import Matrix


class Score(keras.layers.Layer):
    """What all scores have in common.

    The values are turned into keys once for a source sentence (`project`), and each query is then compared with all
    keys (calling the layer). Both take weights, which `build(query_shape, values_shape)` makes.

    Call arguments:
        query: `(..., target_length, units)`.
        keys: `(..., source_length, key_units)`, from `project`.
        coverage: float32 `(batch, source_length)`, the sum of the earlier weights, for a score with
            `needs_coverage`. There is one query then.

    Output:
        `(..., target_length, source_length)`.
    """

    formula = ""  # with q and k for query and key
    content_based = True  # whether it compares the query with what stands at a position
    needs_coverage = False

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.projection = None

    def build(self, query_shape, values_shape):
        raise NotImplementedError

    def project(self, values):
        """The keys of these values: `(..., source_length, memory_units)` to `(..., source_length, key_units)`."""
        return values if self.projection is None else self.projection(values)

    def _add_projection(self, units, values_shape):
        self.projection = Matrix(units, name="keys", dtype=self.dtype_policy)
        self.projection.build(values_shape)


@keras.saving.register_keras_serializable(package="keras_attn")
class DotScore(Score):
    """`score(q, k) = q · k`, or that divided by `√units`.

    Args:
        scaled: whether to divide.
        project_keys: `True` puts a matrix (without bias) between values and keys, which is the general score;
            `False` uses the values as keys; `None` projects only where query and values differ in size.

    Raises:
        InputError: `project_keys` is `False` and query and values differ in size.

    Source: Luong et al. 2015, section 3.1, "dot"; Vaswani et al. 2017, equation 1.
    """

    def __init__(self, scaled=False, project_keys=None, **kwargs):
        super().__init__(**kwargs)
        self.scaled = scaled
        self.project_keys = project_keys

    @property
    def formula(self):
        return "q · k / √units" if self.scaled else "q · k"

    def build(self, query_shape, values_shape):
        units, memory_units = query_shape[-1], values_shape[-1]
        if self.project_keys is False and units != memory_units:
            raise InputError(
                f"project_keys=False needs query and values of the same size, but query has the shape "
                f"{tuple(query_shape)} and values {tuple(values_shape)}; use project_keys=None or True."
            )
        if self.project_keys or units != memory_units:
            self._add_projection(units, values_shape)

    def call(self, query, keys, coverage=None):
        return (functional.scaled_dot_score if self.scaled else functional.dot_score)(query, keys)

    def get_config(self):
        return {**super().get_config(), "scaled": self.scaled, "project_keys": self.project_keys}


@keras.saving.register_keras_serializable(package="keras_attn")
class GeneralScore(Score):
    """`score(q, k) = qᵀ W k`.

    Source: Luong et al. 2015, section 3.1, "general".
    """

    formula = "qᵀ W k"

    def build(self, query_shape, values_shape):
        self._add_projection(query_shape[-1], values_shape)

    def call(self, query, keys, coverage=None):
        return functional.dot_score(query, keys)  # the keys are W k already


@keras.saving.register_keras_serializable(package="keras_attn")
class CosineScore(Score):
    """`score(q, k) = β cos(q, k)`, with a trained sharpness `β`: cosines alone, from -1 to 1, make no sharp softmax.

    Where query and values differ in size, the keys are projected.

    Args:
        sharpness: `β` before training.

    Source: Graves et al. 2014 (arXiv 1410.5401), equations 5 and 6.
    """

    formula = "β q · k / (‖q‖ ‖k‖)"

    def __init__(self, sharpness=10.0, **kwargs):
        super().__init__(**kwargs)
        self.sharpness = sharpness

    def build(self, query_shape, values_shape):
        if query_shape[-1] != values_shape[-1]:
            self._add_projection(query_shape[-1], values_shape)
        self.beta = self.add_weight(shape=(), initializer=keras.initializers.Constant(self.sharpness), name="sharpness")

    def project(self, values):
        return functional.unit_length(super().project(values))

    def call(self, query, keys, coverage=None):
        return self.beta * functional.dot_score(functional.unit_length(query), keys)

    def get_config(self):
        return {**super().get_config(), "sharpness": self.sharpness}


@keras.saving.register_keras_serializable(package="keras_attn")
class AdditiveScore(Score):
    """`score(q, k) = v · tanh(W q + U k)`: a small network that looks at query and key together.

    Args:
        units: size of its hidden layer; the query's size if `None`.
        normalized: whether to use `g v / ‖v‖` for `v`, with a trained length `g`, and a bias inside the tanh.
        coverage: whether how much each position has been looked at already (the sum of its earlier weights) goes
            into the tanh too, times a trained vector.

    Source: Bahdanau et al. 2015, appendix A.1.2; Raffel et al. 2017, equation 16 (normalized); Tu et al. 2016
    (arXiv 1601.04811) and See et al. 2017 (arXiv 1704.04368), equation 11 (coverage).
    """

    def __init__(self, units=None, normalized=False, coverage=False, **kwargs):
        super().__init__(**kwargs)
        require_count(units=units)
        self.units = units
        self.normalized = normalized
        self.needs_coverage = coverage

    @property
    def formula(self):
        covered = " + coverage w" if self.needs_coverage else ""
        return f"g v/‖v‖ · tanh(W q + U k{covered} + b)" if self.normalized else f"v · tanh(W q + U k{covered})"

    def build(self, query_shape, values_shape):
        units = self.units or query_shape[-1]
        self._add_projection(units, values_shape)
        self.query = Matrix(units, name="query", dtype=self.dtype_policy)
        self.query.build(query_shape)
        self.scale = self.add_weight(shape=(units,), initializer=_near_zero(units), name="scale")
        if self.normalized:
            length = keras.initializers.Constant(units**-0.5)
            self.length = self.add_weight(shape=(), initializer=length, name="length")
            self.bias = self.add_weight(shape=(units,), initializer="zeros", name="bias")
        if self.needs_coverage:
            self.covered = self.add_weight(shape=(units,), initializer=_near_zero(units), name="coverage")

    def call(self, query, keys, coverage=None):
        if self.needs_coverage:
            # (Not `+=`, which changes an array of PyTorch's or NumPy's for all steps to come.)
            keys = keys + ops.cast(ops.expand_dims(coverage, -1), ops.dtype(keys)) * self.covered
        if not self.normalized:
            return functional.additive_score(self.query(query), keys, self.scale)
        scale = functional.weight_normalized(self.scale, self.length)
        return functional.additive_score(self.query(query), keys, scale, self.bias)

    def get_config(self):
        own = {"units": self.units, "normalized": self.normalized, "coverage": self.needs_coverage}
        return {**super().get_config(), **own}


@keras.saving.register_keras_serializable(package="keras_attn")
class LocationScore(Score):
    """`score(q, position) = W q`: where to look is worked out from the query alone.

    Args:
        positions: how many positions there are; those after them get no weight.

    Source: Luong et al. 2015, equation 8.
    """

    formula = "(W q)[position]"
    content_based = False

    def __init__(self, positions=100, **kwargs):
        super().__init__(**kwargs)
        require_count(positions=positions)
        self.positions = positions

    def build(self, query_shape, values_shape):
        self.kernel = self.add_weight(shape=(query_shape[-1], self.positions), name="kernel")

    def call(self, query, keys, coverage=None):
        return functional.location_score(query, self.kernel, ops.shape(keys)[-2])

    def get_config(self):
        return {**super().get_config(), "positions": self.positions}


def _near_zero(units):
    return keras.initializers.RandomUniform(-(units**-0.5), units**-0.5)


SCORES = {
    "dot": DotScore,
    "scaled-dot": lambda **options: DotScore(scaled=True, **options),
    "general": GeneralScore,
    "cosine": CosineScore,
    "additive": AdditiveScore,
    "normalized-additive": lambda **options: AdditiveScore(normalized=True, **options),
    "location": LocationScore,
}
