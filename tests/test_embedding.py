import keras
import numpy as np
import pytest
from helpers import disturb_weights, numbers

from keras_attn.layers import TokenEmbedding


@pytest.mark.parametrize("tied", [False, True])
def test_vectors_start_wide_enough_to_learn_from(tied):
    embedding = TokenEmbedding(1000, 64, tied=tied)
    assert 0.95 < numbers(embedding(np.arange(1000))).std() < 1.05


def test_tied_logits_start_with_the_spread_of_the_vectors_that_they_are_made_from(rng):
    embedding = TokenEmbedding(1000, 64, tied=True)
    embedding.build((None, None))
    assert 0.9 < numbers(embedding.logits(rng.normal(size=(50, 64)).astype("float32"))).std() < 1.1


def test_tied_logits_are_the_product_with_the_table_and_a_bias(rng):
    embedding = TokenEmbedding(10, 4, tied=True)
    embedding.build((None, None))
    disturb_weights(embedding, rng)
    vectors = rng.normal(size=(2, 3, 4)).astype("float32")
    table, bias = numbers(embedding.table.embeddings), numbers(embedding.bias)
    np.testing.assert_allclose(numbers(embedding.logits(vectors)), vectors @ table.T + bias, atol=1e-5)


@pytest.mark.parametrize("tied, factor", [(False, 1), (True, 3)])
def test_an_id_gives_its_row_of_the_table_times_the_root_of_the_size_if_tied(rng, tied, factor):
    embedding = TokenEmbedding(10, 9, tied=tied)
    ids = rng.integers(0, 10, (2, 3))
    vectors = numbers(embedding(ids))
    np.testing.assert_allclose(vectors, factor * numbers(embedding.table.embeddings)[ids], rtol=1e-6)


def test_building_it_again_for_its_second_user_changes_nothing():
    embedding = TokenEmbedding(10, 4, tied=True)
    embedding.build((None, None))
    before = embedding.get_weights()
    embedding.build((None, None))
    for ours, theirs in zip(embedding.get_weights(), before, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_the_configuration_makes_the_same_layer():
    embedding = TokenEmbedding(10, 4, tied=True, token_dropout=0.2)
    again = keras.layers.deserialize(keras.layers.serialize(embedding))
    assert again.get_config() == embedding.get_config()
    assert (again.vocabulary_size, again.units, again.tied, again.dropout.rate) == (10, 4, True, 0.2)


@pytest.mark.parametrize("tied", [False, True])
def test_token_dropout_hides_whole_tokens_in_training_alone(rng, tied):
    embedding = TokenEmbedding(10, 4, tied=tied, token_dropout=0.25)
    ids = rng.integers(0, 10, (40, 50))
    whole = numbers(embedding(ids))
    kept = numbers(embedding(ids, training=True)) / whole
    hidden = kept[..., 0] == 0
    np.testing.assert_allclose(kept, np.where(hidden, 0, 1 / 0.75)[..., None] * np.ones(4), rtol=1e-5)
    assert 0.2 < hidden.mean() < 0.3
    assert 0 < hidden.mean(axis=0).min() and hidden.mean(axis=0).max() < 1  # each sentence has its own
