import keras
import numpy as np
import pytest
from helpers import numbers

from keras_attn.layers import Bridge


def test_dense_is_a_tanh_layer_for_each_tensor(rng):
    state = [[rng.normal(size=(2, 6)).astype("float32") for _ in range(2)]]
    bridge = Bridge(4)
    found = bridge(state)
    kernels = bridge.get_weights()
    assert len(found) == 1 and len(found[0]) == 2
    for tensor, new, kernel, bias in zip(state[0], found[0], kernels[::2], kernels[1::2]):
        np.testing.assert_allclose(numbers(new), np.tanh(tensor @ kernel + bias), rtol=1e-5)


def test_copy_hands_the_state_on(rng):
    state = [[rng.normal(size=(2, 6)).astype("float32")]]
    np.testing.assert_array_equal(numbers(Bridge(6, kind="copy")(state)[0][0]), state[0][0])


def test_decoder_layers_without_a_partner_start_from_the_last_encoder_layer(rng):
    state = [[rng.normal(size=(2, 6)).astype("float32")] for _ in range(2)]
    found = Bridge(6, layers=3, kind="copy")(state)
    for layer, partner in enumerate([0, 1, 1]):
        np.testing.assert_array_equal(numbers(found[layer][0]), state[partner][0])


def test_copy_refuses_another_size_with_both_sizes():
    with pytest.raises(ValueError, match="6 units.*the decoder's 4"):
        Bridge(4, kind="copy")([[np.ones((2, 6), "float32")]])


def test_an_unknown_kind_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match="'zip'.*'dense' and 'copy'"):
        Bridge(4, kind="zip")


def test_every_weight_is_saved(rng, tmp_path):
    inputs = [[keras.Input((6,)) for _ in range(2)] for _ in range(2)]
    model = keras.Model(inputs, Bridge(4, layers=2)(inputs))
    model.save(tmp_path / "bridge.keras")
    again = keras.saving.load_model(tmp_path / "bridge.keras")
    for ours, theirs in zip(model.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
