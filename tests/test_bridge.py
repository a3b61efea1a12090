import keras
import numpy as np
import pytest
from helpers import disturb_weights, numbers

from keras_attn.layers import Bridge

MASK = np.array([[1, 1, 1], [1, 0, 0], [0, 0, 0]], bool)


def random_state(rng, layers=1, tensors=1):
    return [[rng.normal(size=(3, 6)).astype("float32") for _ in range(tensors)] for _ in range(layers)]


@pytest.fixture
def values(rng):
    return rng.normal(size=(3, 3, 5)).astype("float32")


def cross(bridge, state, values):
    """What comes out at the other end, as NumPy arrays, from a bridge with biases that are not zero."""
    bridge.build(keras.tree.map_structure(lambda tensor: keras.ops.shape(tensor), state), values.shape)
    disturb_weights(bridge, np.random.default_rng(1))
    return [[numbers(tensor) for tensor in layer] for layer in bridge(state, values, MASK)]


def test_dense_is_a_tanh_layer_for_each_tensor(rng, values):
    state, bridge = random_state(rng, tensors=2), Bridge(4)
    (found,) = cross(bridge, state, values)
    assert len(found) == len(bridge.projections) == 2
    for tensor, new, projection in zip(state[0], found, bridge.projections):
        kernel, bias = projection.get_weights()
        np.testing.assert_allclose(new, np.tanh(tensor @ kernel + bias), rtol=1e-5, atol=1e-6)


def test_copy_hands_the_state_on(rng, values):
    state = random_state(rng)
    np.testing.assert_array_equal(cross(Bridge(6, kind="copy"), state, values)[0][0], state[0][0])


def test_mean_starts_every_tensor_from_the_mean_of_the_real_values(rng, values):
    bridge = Bridge(4, layers=2, kind="mean")
    found = np.concatenate(cross(bridge, random_state(rng, tensors=2), values))
    means = [values[0].mean(0), values[1, 0], np.zeros(5)]
    assert len(found) == len(bridge.projections) == 4
    for new, projection in zip(found, bridge.projections):
        kernel, bias = projection.get_weights()
        np.testing.assert_allclose(new, np.tanh(means @ kernel + bias), rtol=1e-5, atol=1e-6)


def test_mean_does_not_see_what_stands_at_padding(rng, values):
    bridge, state = Bridge(4, kind="mean"), random_state(rng)
    before = cross(bridge, state, values)
    values[~MASK] = np.nan
    np.testing.assert_array_equal(numbers(bridge(state, values, MASK)[0][0]), before[0][0])


def test_mean_of_a_long_source_is_exact_in_float16(rng):
    values, mask = np.full((1, 5000, 3), 0.5, "float16"), np.ones((1, 5000), bool)
    bridge, state = Bridge(6, kind="mean", dtype="mixed_float16"), random_state(rng)
    bridge.build(keras.tree.map_structure(np.shape, state), values.shape)
    long, short = (bridge(state, values[:, :length], mask[:, :length])[0][0] for length in (5000, 2))
    np.testing.assert_array_equal(numbers(long), numbers(short))


def test_zero_has_no_weights_and_starts_from_nothing(rng, values):
    bridge = Bridge(4, layers=2, kind="zero")
    np.testing.assert_array_equal(cross(bridge, random_state(rng, tensors=2), values), np.zeros((2, 2, 3, 4)))
    assert not bridge.weights


def test_decoder_layers_without_a_partner_start_from_the_last_encoder_layer(rng, values):
    state = random_state(rng, layers=2)
    found = cross(Bridge(6, layers=3, kind="copy"), state, values)
    for layer, partner in enumerate([0, 1, 1]):
        np.testing.assert_array_equal(found[layer][0], state[partner][0])


def test_copy_refuses_another_size_with_both_sizes(rng, values):
    with pytest.raises(ValueError, match="6 units.*the decoder's 4"):
        cross(Bridge(4, kind="copy"), random_state(rng), values)


def test_an_unknown_kind_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match="'zip'.*'dense', 'copy', 'mean', 'zero'"):
        Bridge(4, kind="zip")


@pytest.mark.parametrize("kind", ["dense", "mean"])
def test_every_weight_is_saved(kind, tmp_path):
    state = [[keras.Input((6,)) for _ in range(2)] for _ in range(2)]
    values, mask = keras.Input((3, 5)), keras.Input((3,), dtype="bool")
    model = keras.Model([state, values, mask], Bridge(4, layers=2, kind=kind)(state, values, mask))
    model.save(tmp_path / "bridge.keras")
    again = keras.saving.load_model(tmp_path / "bridge.keras")
    assert len(model.get_weights()) == 8
    for ours, theirs in zip(model.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
