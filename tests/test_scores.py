import keras
import numpy as np
import pytest
from helpers import numbers, run_python

from keras_attn import functional
from keras_attn.layers import AdditiveScore, CosineScore, DotScore, GeneralScore, LocationScore
from keras_attn.layers.scores import SCORES

# What each score is in terms of the arithmetic that test_functional.py holds to the papers.
IN_ARITHMETIC = {
    "dot": lambda score, query, values: functional.dot_score(query, values @ kernel(score)),
    "scaled-dot": lambda score, query, values: functional.scaled_dot_score(query, values @ kernel(score)),
    "general": lambda score, query, values: functional.general_score(query, values, kernel(score)),
    "cosine": lambda score, query, values: (
        numbers(score.beta) * numbers(functional.cosine_score(query, values @ kernel(score)))
    ),
    "additive": lambda score, query, values: functional.additive_score(
        query @ numbers(score.query.kernel), values @ kernel(score), score.scale
    ),
    "normalized-additive": lambda score, query, values: functional.additive_score(
        query @ numbers(score.query.kernel),
        values @ kernel(score),
        functional.weight_normalized(score.scale, score.length),
        score.bias,
    ),
    "location": lambda score, query, values: functional.location_score(query, score.kernel, values.shape[1]),
}
CONTENT_BASED = [name for name in SCORES if name != "location"]
CONFIGURED = [
    (DotScore, {"scaled": True, "project_keys": True}),
    (GeneralScore, {}),
    (CosineScore, {"sharpness": 3.0}),
    (AdditiveScore, {"units": 5, "normalized": True, "coverage": True}),
    (LocationScore, {"positions": 7}),
]


@pytest.fixture
def query(rng):
    return rng.normal(size=(2, 3, 4)).astype("float32")


@pytest.fixture
def values(rng):
    return rng.normal(size=(2, 5, 6)).astype("float32")


def kernel(score):
    return numbers(score.projection.kernel)


def built(score, query, values):
    """The score with weights none of which is zero or one."""
    score.build(query.shape, values.shape)
    rng = np.random.default_rng(1)
    score.set_weights([rng.normal(size=weight.shape) for weight in score.weights])
    return score


@pytest.mark.parametrize("name", SCORES)
def test_a_layer_equals_its_arithmetic_with_the_weights_it_has(name, query, values):
    score = built(SCORES[name](), query, values)
    expected = IN_ARITHMETIC[name](score, query, values)
    np.testing.assert_allclose(numbers(score(query, score.project(values))), numbers(expected), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["dot", "scaled-dot", "cosine"])
def test_values_of_the_size_of_the_query_need_no_matrix(name, query, values):
    score = built(SCORES[name](), query, values[..., :4])
    assert score.projection is None


@pytest.mark.parametrize("name", CONTENT_BASED)
def test_the_size_of_the_values_does_not_matter_after_their_projection(name, query, values):
    score = built(SCORES[name](), query, values)
    assert score.project(values).shape == (2, 5, 4)


def test_the_additive_score_equals_the_additive_attention_of_keras(query, values):
    score = built(SCORES["additive"](), query, values)
    keys = score.project(values)
    theirs = keras.layers.AdditiveAttention()
    theirs.build([query.shape, values.shape, keys.shape])
    theirs.scale.assign(score.scale)
    _, expected = theirs([score.query(query), values, keys], return_attention_scores=True)
    np.testing.assert_allclose(numbers(functional.attention_weights(score(query, keys))), numbers(expected), rtol=1e-4)


@pytest.mark.parametrize("units, found", [(None, 4**-0.5), (9, 1 / 3)])
def test_the_vector_of_normalized_additive_attention_starts_with_the_length_of_the_paper(query, values, units, found):
    score = AdditiveScore(units=units, normalized=True)
    score.build(query.shape, values.shape)
    vector = numbers(functional.weight_normalized(score.scale, score.length))
    np.testing.assert_allclose(np.linalg.norm(vector), found, rtol=1e-6)


def test_the_cosine_score_starts_with_its_sharpness_where_directions_agree():
    score = CosineScore(sharpness=7.0)
    score.build((1, 1, 2), (1, 2, 2))
    keys = score.project(np.array([[[0.3, 0.4], [-4.0, 3.0]]], "float32"))
    np.testing.assert_allclose(numbers(score(np.array([[[6.0, 8.0]]], "float32"), keys)), [[[7, 0]]], atol=1e-5)


def test_coverage_enters_as_in_equation_11_of_see_et_al(rng, query, values):
    score = built(AdditiveScore(coverage=True), query, values)
    coverage = rng.random((2, 5)).astype("float32")
    found = numbers(score(query[:, :1], score.project(values), coverage=coverage))
    to_hidden, covered, scale = (numbers(weight) for weight in (score.query.kernel, score.covered, score.scale))
    for row, source in np.ndindex(2, 5):
        hidden = values[row, source] @ kernel(score) + query[row, 0] @ to_hidden + coverage[row, source] * covered
        np.testing.assert_allclose(found[row, 0, source], scale @ np.tanh(hidden), rtol=1e-4)


@pytest.mark.slow
def test_coverage_leaves_the_keys_as_they_are_where_arrays_can_be_changed(tmp_path):
    for module in ("scipy", "jax"):
        pytest.importorskip(module, reason="Keras's NumPy backend imports it")
    run_python(
        "import numpy as np\n"
        "from keras_attn.layers import AdditiveScore, Attention\n"
        "attention, values = Attention(AdditiveScore(coverage=True)), np.ones((1, 2, 3), 'float32')\n"
        "attention.build((1, 3), (1, 2, 3))\n"
        "memory = attention.remember(values)\n"
        "before = memory.keys.copy()\n"
        "history = {'coverage': np.ones((1, 2), 'float32')}\n"
        "attention(values[:, 0], memory.values, memory.mask, memory.keys, history)\n"
        "np.testing.assert_array_equal(memory.keys, before)\n",
        cwd=tmp_path,
        KERAS_BACKEND="numpy",
    )


@pytest.mark.parametrize("name", CONTENT_BASED)
def test_heads_are_scored_as_if_each_were_alone(rng, name):
    query, values = rng.normal(size=(2, 3, 4, 6)).astype("float32"), rng.normal(size=(2, 3, 5, 6)).astype("float32")
    score = built(SCORES[name](), query, values)
    found = numbers(score(query, score.project(values)))
    for head in range(3):
        alone = score(query[:, head], score.project(values[:, head]))
        np.testing.assert_allclose(found[:, head], numbers(alone), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind, options", CONFIGURED)
def test_the_configuration_makes_the_same_score(kind, options, query, values):
    def scores(layer):
        layer = built(layer, query, values)
        coverage = {"coverage": np.ones((2, 5), "float32")} if layer.needs_coverage else {}
        return numbers(layer(query, layer.project(values), **coverage))

    layer = kind(**options)
    again = keras.layers.deserialize(keras.layers.serialize(layer))
    assert options.items() <= again.get_config().items() and again.formula == layer.formula
    np.testing.assert_array_equal(scores(again), scores(layer))


@pytest.mark.parametrize("name", SCORES)
def test_scores_are_computed_in_the_type_of_the_policy(name, query, values):
    score = built(SCORES[name](dtype="mixed_bfloat16"), query, values)
    assert score(query, score.project(values)).dtype == "bfloat16"
    assert {weight.dtype for weight in score.weights} == {"float32"}
