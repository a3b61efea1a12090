import keras
import numpy as np
import pytest
from helpers import numbers, softmax

from keras_attn import functional
from keras_attn.layers import GlobalAlignment, LocalAlignment, MonotonicAlignment, PredictiveAlignment
from keras_attn.layers.alignments import ALIGNMENTS

CONFIGURED = [
    (GlobalAlignment, {}),
    (LocalAlignment, {"window": 2}),
    (PredictiveAlignment, {"window": 3}),
    (MonotonicAlignment, {"noise": 0.5, "bias": -2.0}),
]
FOR_HEADS = [name for name in ALIGNMENTS if name != "monotonic"]


def align(alignment, scores, mask=None, query=None, position=0, previous=None, **options):
    """Its weights; without more ado, of first queries about sources without padding."""
    batch, (target_length, source_length) = scores.shape[0], scores.shape[-2:]
    if mask is None:
        mask = np.ones((batch, source_length), bool)
    if query is None:
        query = np.ones((batch, target_length, 4), "float32")
    if previous is None:
        previous = np.eye(1, source_length, dtype="float32").repeat(batch, 0)
    history = {"position": np.full(batch, position, "int32"), "previous": previous}
    needed = {name: history[name] for name in alignment.needs}
    if not alignment.built:
        alignment.build(query.shape)
    return numbers(alignment(scores.astype("float32"), query, mask, needed, **options))


def test_the_global_alignment_is_a_softmax_over_the_tokens(rng):
    scores, mask = rng.normal(size=(2, 3, 5)), np.array([[1, 1, 1, 0, 0]] * 2, bool)
    weights = align(GlobalAlignment(), scores, mask)
    np.testing.assert_allclose(weights[..., :3], softmax(scores[..., :3]), rtol=1e-5)
    np.testing.assert_array_equal(weights[..., 3:], 0)


def test_the_local_window_moves_on_with_the_target_until_the_last_token_of_each_source():
    mask = np.array([[1, 1, 1, 1], [1, 1, 0, 0]], bool)
    weights = align(LocalAlignment(1), np.zeros((2, 6, 4)), mask)
    half, third = 1 / 2, 1 / 3
    last = [0, 0, half, half]
    long = [[half, half, 0, 0], [third, third, third, 0], [0, third, third, third], last, last, last]
    np.testing.assert_allclose(weights, [long, [[half, half, 0, 0]] * 6], rtol=1e-6)


def test_the_local_window_starts_where_the_earlier_queries_have_brought_it(rng):
    scores = rng.normal(size=(2, 5, 6))
    whole = align(LocalAlignment(1), scores)
    later = align(LocalAlignment(1), scores[:, 2:], position=2)
    np.testing.assert_allclose(later, whole[:, 2:], rtol=1e-6)


def test_the_local_alignment_is_a_softmax_inside_its_window(rng):
    scores = rng.normal(size=(1, 1, 7))
    weights = align(LocalAlignment(2), scores, position=3)
    np.testing.assert_allclose(weights[..., 1:6], softmax(scores[..., 1:6]), rtol=1e-5)
    np.testing.assert_array_equal(weights[..., [0, 6]], 0)


def test_the_predictive_alignment_equals_equations_9_and_10_of_luong_et_al(rng):
    scores, query = rng.normal(size=(2, 3, 9)), rng.normal(size=(2, 3, 4)).astype("float32")
    lengths = [9, 6]
    alignment = PredictiveAlignment(2)
    alignment.build(query.shape)
    alignment.set_weights([rng.normal(size=weight.shape) for weight in alignment.weights])
    found = align(alignment, scores, np.arange(9) < np.array(lengths)[:, None], query=query)
    to_hidden, to_center = alignment.get_weights()
    for row, target in np.ndindex(2, 3):
        center = lengths[row] / (1 + np.exp(-np.tanh(query[row, target] @ to_hidden) @ to_center[:, 0]))
        inside = [position for position in range(lengths[row]) if center - 2 <= position <= center + 2]
        expected = np.zeros(9)
        expected[inside] = softmax(scores[row, target, inside]) * np.exp(-((inside - center) ** 2) / (2 * 1**2))
        np.testing.assert_allclose(found[row, target], expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    "training, weigh", [(True, functional.monotonic_weights), (False, functional.hard_monotonic_weights)]
)
def test_the_monotonic_alignment_learns_with_probabilities_and_otherwise_decides(rng, training, weigh):
    scores, mask = rng.normal(size=(2, 1, 5)), np.array([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]], bool)
    previous = np.eye(5, dtype="float32")[[1, 0]]
    found = align(MonotonicAlignment(bias=0.5), scores, mask, previous=previous, training=training)
    np.testing.assert_allclose(found[:, 0], numbers(weigh(scores[:, 0] + 0.5, previous, mask)), rtol=1e-5)


@pytest.mark.parametrize("training", [True, False])
def test_the_monotonic_alignment_adds_no_noise_but_what_it_is_handed(rng, training):
    scores, noise = rng.normal(size=(2, 2, 1, 5)).astype("float32")
    alignment = MonotonicAlignment(noise=1.0)
    quiet = align(alignment, scores, training=training)
    np.testing.assert_array_equal(align(alignment, scores, training=training), quiet)
    noisy = align(alignment, scores, noise=noise, training=training)
    np.testing.assert_allclose(noisy, align(alignment, scores + noise, training=training), rtol=1e-5)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("name", ALIGNMENTS)
def test_a_source_without_any_token_gets_weights_of_zero_and_its_neighbour_is_not_disturbed(rng, name, training):
    scores, mask = rng.normal(size=(2, 1, 5)), np.array([[0] * 5, [1] * 5], bool)
    alignment = ALIGNMENTS[name]()
    weights = align(alignment, scores, mask, training=training)
    np.testing.assert_array_equal(weights[0], 0)
    np.testing.assert_allclose(weights[1:], align(alignment, scores[1:], training=training), rtol=1e-5)


@pytest.mark.parametrize("name", FOR_HEADS)
def test_heads_are_aligned_as_if_each_were_alone(rng, name):
    scores, mask = rng.normal(size=(2, 3, 4, 5)), np.array([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]], bool)
    alignment = ALIGNMENTS[name](**({} if name == "global" else {"window": 2}))
    weights = align(alignment, scores, mask)
    for head in range(3):
        np.testing.assert_allclose(weights[:, head], align(alignment, scores[:, head], mask), rtol=1e-5)


@pytest.mark.parametrize("kind, options", CONFIGURED)
def test_the_configuration_makes_the_same_alignment(rng, kind, options):
    layer = kind(**options)
    again = keras.layers.deserialize(keras.layers.serialize(layer))
    assert options.items() <= again.get_config().items() and again.noise == layer.noise
    scores, query = rng.normal(size=(2, 1, 9)), rng.normal(size=(2, 1, 4)).astype("float32")
    expected = align(layer, scores, query=query, position=4, training=True)
    again.build(query.shape)
    again.set_weights(layer.get_weights())
    np.testing.assert_array_equal(align(again, scores, query=query, position=4, training=True), expected)
