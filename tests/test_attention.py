import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf
from helpers import numbers, softmax

from keras_attn import Attention, BahdanauStyleDotAttention
from keras_attn.layers import AdditiveScore, LocalAlignment, LocationScore, MonotonicAlignment, PredictiveAlignment
from keras_attn.layers.alignments import ALIGNMENTS
from keras_attn.layers.scores import SCORES

MASK = np.array([[1, 1, 1, 1], [1, 1, 0, 0]], bool)

# With windows narrower than the source, and the score that looks back.
SCORE_LAYERS = {**SCORES, "coverage": lambda: AdditiveScore(coverage=True)}
ALIGNMENT_LAYERS = {
    **ALIGNMENTS,
    "local-m": lambda: LocalAlignment(window=1),
    "local-p": lambda: PredictiveAlignment(window=2),
    "monotonic": lambda: MonotonicAlignment(bias=0.5),
}
COMBINATIONS = list(itertools.product(SCORE_LAYERS, ALIGNMENT_LAYERS))
EACH_ONCE = [*itertools.product(SCORE_LAYERS, ["global"]), ("dot", "local-m"), ("dot", "local-p"), ("dot", "monotonic")]
LIKE_KERAS = [BahdanauStyleDotAttention(), *map(Attention, ["dot", "scaled-dot", "additive"])]


def attention_of(score, alignment="global", **options):
    return Attention(SCORE_LAYERS[score](), ALIGNMENT_LAYERS[alignment](), **options)


def assert_same(ours, expected):
    """Context vectors and weights."""
    for found, wanted in zip(ours, expected, strict=True):
        np.testing.assert_allclose(numbers(found), numbers(wanted), rtol=1e-4, atol=1e-5)


def theirs(attention, query, values):
    """Keras's own layer with the same weights: `(context, weights)`."""
    score = attention.score
    if isinstance(score, AdditiveScore):
        keys = score.project(values)
        layer = keras.layers.AdditiveAttention()
        layer.build([query.shape, values.shape, keys.shape])
        layer.scale.assign(score.scale)
        return layer([score.query(query), values, keys], return_attention_scores=True)
    layer = keras.layers.Attention(use_scale=True)
    layer.build([query.shape, values.shape])
    layer.scale.assign(6**-0.5 if score.scaled else 1)
    return layer([query, values], return_attention_scores=True)


def theirs_without_padding(attention, query, values):
    """Each sentence by itself, and the weights padded again."""
    context, weights = theirs(attention, query[:1], values[:1])
    short_context, short_weights = theirs(attention, query[1:], values[1:, :2])
    weights = keras.ops.concatenate([weights, keras.ops.pad(short_weights, [(0, 0), (0, 0), (0, 2)])])
    return keras.ops.concatenate([context, short_context]), weights


@pytest.mark.parametrize("attention", LIKE_KERAS, ids=lambda attention: attention.score.formula)
def test_it_equals_the_attention_layer_of_keras(attention, query, values):
    assert_same(attention(query, values, mask=MASK), theirs_without_padding(attention, query, values))


@pytest.mark.parametrize("attention", LIKE_KERAS, ids=lambda attention: attention.score.formula)
def test_its_gradients_equal_those_of_the_attention_layer_of_keras(attention, query, values):
    query, values = tf.constant(query), tf.constant(values)
    attention(query, values)

    def gradients(attend):
        with tf.GradientTape() as tape:
            tape.watch([query, values])
            loss = tf.reduce_sum(attend(query, values)[0] ** 2)
        return tape.gradient(loss, [query, values])

    found = gradients(lambda query, values: attention(query, values, mask=MASK))
    assert_same(found, gradients(lambda query, values: theirs_without_padding(attention, query, values)))


def test_scaled_equals_numpy(query, values):
    context, weights = BahdanauStyleDotAttention(scaled=True)(query, values)
    expected = softmax(np.einsum("btu,bsu->bts", query, values) / np.sqrt(6))
    np.testing.assert_allclose(numbers(weights), expected, rtol=1e-5)
    np.testing.assert_allclose(numbers(context), expected @ values, rtol=1e-4, atol=1e-5)


def test_values_of_another_size_are_projected_to_keys(rng, query):
    values = rng.normal(size=(2, 4, 10)).astype("float32")
    attention = BahdanauStyleDotAttention()
    context, weights = attention(query, values)
    (matrix,) = attention.get_weights()
    expected = softmax(np.einsum("btu,bsu->bts", query, values @ matrix))
    np.testing.assert_allclose(numbers(weights), expected, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(numbers(context), expected @ values, rtol=1e-4, atol=1e-5)


def test_keys_given_are_used_as_they_are(query, values):
    attention = BahdanauStyleDotAttention(project_keys=True)
    expected = attention(query, values)
    found = attention(query, values, keys=attention.remember(values).keys)
    np.testing.assert_array_equal(numbers(found[1]), numbers(expected[1]))


@pytest.mark.parametrize("project_keys, matrices", [(True, 1), (False, 0), (None, 0)])
def test_keys_are_projected_when_asked_for(query, values, project_keys, matrices):
    attention = BahdanauStyleDotAttention(project_keys=project_keys)
    attention(query, values)
    assert len(attention.weights) == matrices


def test_sizes_that_differ_are_refused_where_projection_is_forbidden(query):
    with pytest.raises(ValueError, match=r"\(2, 3, 6\).*\(2, 4, 5\).*project_keys"):
        BahdanauStyleDotAttention(project_keys=False)(query, np.ones((2, 4, 5)))


def test_dropout_acts_in_training_alone_and_leaves_the_returned_weights_whole(query, values):
    attention = BahdanauStyleDotAttention(dropout=0.5)
    plain = attention(query, values)
    dropped = attention(query, values, training=True)
    assert not np.allclose(numbers(dropped[0]), numbers(plain[0]))
    np.testing.assert_array_equal(numbers(dropped[1]), numbers(plain[1]))


def test_the_configuration_makes_the_same_layer():
    layer = BahdanauStyleDotAttention(project_keys=True, scaled=True, dropout=0.25, seed=3)
    again = keras.layers.deserialize(keras.layers.serialize(layer))
    assert again.get_config() == layer.get_config()


@pytest.mark.parametrize("score, alignment", COMBINATIONS)
def test_a_row_without_any_token_gets_zeros_and_padding_changes_nothing(score, alignment, query, values):
    attention = attention_of(score, alignment)
    context, weights = attention(query, values, mask=np.array([[1, 1, 1, 0], [0, 0, 0, 0]], bool))
    np.testing.assert_array_equal(numbers(context)[1], 0)
    np.testing.assert_array_equal(numbers(weights)[1], 0)
    np.testing.assert_array_equal(numbers(weights)[0, :, 3:], 0)
    assert_same((context[:1], weights[:1, :, :3]), attention(query[:1], values[:1, :3]))


@pytest.mark.parametrize(
    "score, alignment, training",
    [*((*names, False) for names in COMBINATIONS), ("dot", "monotonic", True), ("coverage", "monotonic", True)],
)
def test_one_step_is_one_row_of_the_whole_target(score, alignment, training, query, values):
    attention = attention_of(score, alignment, dropout=0.5)
    attention(query, values)
    memory = attention.remember(values, MASK)
    draws = attention.draw(3, memory, training=training)
    expected = attention(query, values, mask=MASK, draws=draws, training=training)
    history = attention.first_history(memory)
    assert set(history) == set(attention.needs)
    for step in range(3):
        drawn = {name: tensor[:, step] for name, tensor in draws.items()}
        options = {"mask": MASK, "keys": memory.keys, "history": history, "draws": drawn, "training": training}
        context, weights = attention(query[:, step], memory.values, **options)
        assert_same((context, weights), (expected[0][:, step], expected[1][:, step]))
        history = attention.next_history(history, weights)


@pytest.mark.parametrize("score, alignment", [*EACH_ONCE, ("coverage", "monotonic")])
def test_it_works_in_a_functional_model_whatever_the_lengths(score, alignment, query, values):
    attention = attention_of(score, alignment)
    inputs = keras.Input((None, 6)), keras.Input((None, 6)), keras.Input((None,), dtype="bool")
    model = keras.Model(inputs, attention(*inputs))
    assert [output.shape for output in model.outputs] == [(None, None, 6), (None, None, None)]
    assert_same(model.predict([query, values, MASK], verbose=0), attention(query, values, mask=MASK))


def test_coverage_is_the_sum_of_the_earlier_weights(query, values):
    attention = attention_of("coverage")
    _, weights = attention(query, values, mask=MASK)
    memory = attention.remember(values, MASK)
    np.testing.assert_array_equal(numbers(attention.first_history(memory)["coverage"]), np.zeros((2, 4)))
    history = {"coverage": weights[:, 0] + weights[:, 1]}
    _, found = attention(query[:, 2], values, mask=MASK, history=history)
    np.testing.assert_allclose(numbers(found), numbers(weights)[:, 2], rtol=1e-5)


def test_a_hard_monotonic_attention_never_goes_back(rng, values):
    query = rng.normal(size=(2, 30, 6)).astype("float32")
    _, weights = attention_of("dot", "monotonic")(query, values)
    for row in numbers(weights):
        positions = [weight.argmax() for weight in row if weight.any()]
        assert positions == sorted(positions) and not row[len(positions) :].any()


def test_values_can_attend_to_themselves(values):
    context, weights = Attention("scaled-dot")(values, values, mask=MASK)
    scores = np.where(MASK[:, None], values @ values.swapaxes(1, 2) / np.sqrt(6), -np.inf)
    assert_same((context, weights), (softmax(scores) @ values, softmax(scores)))


def test_values_cannot_be_remembered_before_there_is_a_matrix_to_project_them_with(values):
    with pytest.raises(ValueError, match="build"):
        Attention("general").remember(values)


def test_dropout_drops_what_it_is_told_to(query, values):
    attention = Attention("dot", dropout=0.5)
    _, weights = attention(query, values)
    keep = np.zeros((2, 3, 4), "float32")
    keep[..., 1] = 2
    context, dropped = attention(query, values, draws={"keep": keep}, training=True)
    assert_same((context, dropped), (2 * numbers(weights)[..., 1:2] * values[:, 1:2], weights))


def test_noise_moves_the_monotonic_attention_to_where_it_is_told(query, values):
    attention = attention_of("dot", "monotonic")
    noise = np.full((2, 3, 4), -1000, "float32")
    noise[:, [0, 1, 2], [0, 2, 3]] = 1000
    context, weights = attention(query, values, draws={"noise": noise}, training=True)
    assert_same((context, weights), (values[:, [0, 2, 3]], np.eye(4)[[[0, 2, 3]] * 2]))


def test_nothing_is_drawn_outside_of_training(query, values):
    attention = Attention("dot", "monotonic", dropout=0.5)
    attention(query, values)
    memory = attention.remember(values)
    assert attention.draw(3, memory) == {} and attention.draw(3, memory, training=False) == {}
    shapes = {name: tuple(tensor.shape) for name, tensor in attention.draw(5, memory, training=True).items()}
    assert shapes == {"noise": (2, 5, 4), "keep": (2, 5, 4)}


def test_training_draws_anew_each_time(query, values):
    attention = Attention("dot", "monotonic")
    first, second = (numbers(attention(query, values, training=True)[1]) for _ in range(2))
    assert not np.allclose(first, second)


def test_the_seed_decides_what_is_drawn(query, values):
    def drawn(seed):
        attention = Attention("dot", "monotonic", dropout=0.5, seed=seed)
        attention(query, values)
        return attention.draw(20, attention.remember(values), training=True)

    for name in ("noise", "keep"):
        np.testing.assert_array_equal(numbers(drawn(1)[name]), numbers(drawn(1)[name]))
        assert (numbers(drawn(1)[name]) != numbers(drawn(2)[name])).any()


@pytest.mark.parametrize("score, alignment", [*EACH_ONCE, ("coverage", "monotonic")])
def test_every_weight_has_a_finite_gradient_in_training(score, alignment, query, values):
    attention = attention_of(score, alignment)
    attention(query, values)
    with tf.GradientTape() as tape:
        context, _ = attention(query, values, mask=np.array([[1, 1, 1, 0], [0, 0, 0, 0]], bool), training=True)
        loss = tf.reduce_sum(context**2)
    gradients = tape.gradient(loss, [weight.value for weight in attention.trainable_weights])
    assert all(np.isfinite(gradient).all() and np.any(gradient) for gradient in gradients)


@pytest.mark.parametrize(
    "options, sentence",
    [
        ({"score": "dott"}, "score is 'dott', but only dot, scaled-dot, general, .* are known"),
        ({"alignment": "soft"}, "alignment is 'soft', but only global, local-m, local-p, monotonic are known"),
        ({"heads": 0}, "heads is 0, but it must be 1 or more"),
        ({"dropout": 1}, "dropout is 1, but it must be 0 or more and below 1"),
        ({"heads": 4}, "4 heads cannot share 6 units"),
        ({"heads": 2, "score": "location"}, "2 heads need a score that compares contents.*location"),
        ({"heads": 2, "alignment": "monotonic"}, "monotonic.*2 heads; use one head"),
        ({"heads": 2, "score": AdditiveScore(coverage=True)}, "coverage.*2 heads; use one head"),
        ({"score": LocalAlignment()}, "score is .*LocalAlignment"),
        ({"alignment": LocationScore()}, "alignment is .*LocationScore"),
        ({"score": None}, "score is None"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_what_does_not_go_together_is_refused(options, sentence, query, values):
    with pytest.raises(ValueError, match=sentence):
        Attention(**options)(query, values)


@pytest.mark.parametrize(
    "options",
    [
        {"score": "cosine", "alignment": "local-p", "heads": 2, "dropout": 0.25, "seed": 3},
        {"score": AdditiveScore(5, normalized=True, coverage=True), "alignment": LocalAlignment(1)},
        {"score": LocationScore(7), "alignment": MonotonicAlignment(noise=0.5, bias=-2.0)},
    ],
    ids=["names", "coverage", "monotonic"],
)
def test_the_configuration_makes_the_same_composition(options, query, values):
    attention = Attention(**options)
    again = keras.layers.deserialize(keras.layers.serialize(attention))
    assert again.get_config() == attention.get_config()
    simple = {name: option for name, option in options.items() if name in ("heads", "dropout", "seed")}
    assert simple.items() <= again.get_config().items()
    expected = attention(query, values, mask=MASK)
    again(query, values)
    again.set_weights(attention.get_weights())
    assert_same(again(query, values, mask=MASK), expected)


def test_attentions_made_of_the_same_layers_share_no_weights(query, values):
    score, alignment = AdditiveScore(), PredictiveAlignment()
    first, second = Attention(score, alignment), Attention(score, alignment)
    first(query, values), second(query, values)
    assert not score.built and not alignment.built
    assert not {id(weight) for weight in first.weights} & {id(weight) for weight in second.weights}


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("score, alignment", [each for each in EACH_ONCE if "coverage" not in each])
def test_half_precision_keeps_weights_and_history_in_float32(score, alignment, training, query, values):
    attention = Attention(score, alignment, dropout=0.5, dtype="mixed_bfloat16")
    context, weights = attention(query, values, mask=MASK, training=training)
    assert context.dtype == "bfloat16" and weights.dtype == "float32"
    assert {weight.dtype for weight in attention.trainable_weights} <= {"float32"}
    memory = attention.remember(values, MASK)
    assert memory.keys.dtype == memory.values.dtype == "bfloat16"
    history = attention.next_history(attention.first_history(memory), weights[:, 0])
    assert {name: tensor.dtype.name for name, tensor in history.items()} == {
        name: "int32" if name == "position" else "float32" for name in attention.needs
    }


def test_half_precision_does_not_round_the_history(query, values):
    attention = Attention("dot", "monotonic", dtype="mixed_bfloat16")
    stopping = {"noise": np.full((2, 4), 1000, "float32")}
    history = {"previous": np.full((2, 4), 0.2001, "float32")}
    _, weights = attention(query[:, 0], values, history=history, draws=stopping, training=True)
    np.testing.assert_allclose(numbers(weights), history["previous"], rtol=1e-6)


def test_half_precision_hardly_changes_weights_with_coverage(query, values):
    attention = Attention(AdditiveScore(coverage=True, dtype="mixed_bfloat16"), dtype="mixed_bfloat16")
    _, weights = attention(query, values)
    exact = Attention(AdditiveScore(coverage=True))
    exact(query, values)
    exact.set_weights(attention.get_weights())
    assert weights.dtype == "float32"
    np.testing.assert_allclose(numbers(weights), numbers(exact(query, values)[1]), atol=0.02)


@pytest.mark.parametrize("coverage", [False, True])
@pytest.mark.parametrize("alignment", ["global", "local-m", "local-p", "monotonic"])
def test_in_float64_it_is_as_near_to_float32_as_that_is_exact(rng, alignment, coverage):
    query, values = rng.normal(size=(2, 3, 4)), rng.normal(size=(2, 5, 6))
    scores = [AdditiveScore(coverage=coverage, dtype=dtype) for dtype in ("float32", "float64")]
    layers = [Attention(score, alignment, dropout=0.5, dtype=score.dtype) for score in scores]
    for layer in layers:
        layer.build(query.shape, values.shape)
    layers[1].set_weights(layers[0].get_weights())
    for one, other in zip(*(layer(query, values) for layer in layers)):
        np.testing.assert_allclose(numbers(one), numbers(other), atol=1e-5)
    for training in (False, True):
        outputs = layers[1](query, values, training=training)
        specs = layers[1].compute_output_spec(keras.KerasTensor(query.shape), keras.KerasTensor(values.shape))
        assert [each.dtype for each in outputs] == [each.dtype for each in specs] == ["float64", "float64"]
