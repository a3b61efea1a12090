"""What is left of a model when it is saved, exported or made from its configuration: all of it."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from helpers import disturb_weights, numbers, run_python, slow
from keras.src.saving import serialization_lib
from test_seq2seq import ELABORATE, compiled, make_model, random_batch, saved_and_loaded, small_model

from keras_attn import Attention, AttentionSeq2Seq, BahdanauStyleDotAttention


@pytest.fixture
def inputs(rng):
    return random_batch(rng)


@pytest.mark.slow
def test_saved_models_give_the_same_numbers_in_a_fresh_process(inputs, tmp_path):
    (inputs, labels) = inputs
    np.savez(tmp_path / "inputs.npz", **inputs)
    expected = {}
    for name, options in ELABORATE.items():
        model = compiled(small_model(**options), run_eagerly=True)
        model.fit(inputs, labels, verbose=0)
        model.save(tmp_path / f"{name}.keras")
        expected[name] = model.predict(inputs, verbose=0)
    run_python(
        "import sys, keras_attn, keras, numpy as np\n"
        "inputs = dict(np.load('inputs.npz'))\n"
        "models = {name: keras.saving.load_model(f'{name}.keras') for name in sys.argv[1:]}\n"
        "np.savez('logits.npz', **{name: model.predict(inputs, verbose=0) for name, model in models.items()})\n",
        *expected,
        cwd=tmp_path,
    )
    found = np.load(tmp_path / "logits.npz")
    for name in expected:
        np.testing.assert_allclose(found[name], expected[name], atol=1e-6)


@pytest.mark.slow
def test_what_keras_exports_after_fit_takes_ids_of_any_length(inputs, tmp_path):
    (inputs, labels) = inputs
    model = compiled(make_model())
    model.fit(inputs, labels, verbose=0)
    model.export(tmp_path / "export", verbose=False)
    longer = {name: np.pad(ids, [(0, 1), (0, 2)]).astype("int32") for name, ids in inputs.items()}
    exported = tf.saved_model.load(tmp_path / "export")
    np.testing.assert_allclose(exported.serve(longer), numbers(model(longer)), atol=1e-6)


@pytest.mark.parametrize("name", ELABORATE)
def test_the_configuration_makes_the_same_model(name):
    model = small_model(**ELABORATE[name])
    again = AttentionSeq2Seq.from_config(model.get_config())
    again.build()
    assert again.get_config() == model.get_config()
    assert [w.shape for w in again.weights] == [w.shape for w in model.weights]


@pytest.mark.parametrize("kind", [Attention, BahdanauStyleDotAttention])
def test_an_attention_of_any_kind_stays_of_that_kind(inputs, kind, tmp_path):
    model = small_model(attention=kind())
    assert type(model.decoder.attention) is kind
    again = saved_and_loaded(model, tmp_path)
    assert type(again.decoder.attention) is kind
    np.testing.assert_array_equal(numbers(again(inputs[0])), numbers(model(inputs[0])))


def count_tables(model):
    """How many variables of the model hold a vector or a column for each of the 20 ids."""
    return sum(20 in weight.shape and len(weight.shape) == 2 for weight in model.weights)


@pytest.mark.parametrize(
    "tied_softmax, tied_embeddings, tables", [(False, False, 3), (True, False, 2), (False, True, 2), (True, True, 1)]
)
def test_what_is_tied_is_one_variable_also_after_loading(inputs, tied_softmax, tied_embeddings, tables, tmp_path):
    options = {"tied_softmax": tied_softmax, "tied_embeddings": tied_embeddings}
    model = small_model(target_vocabulary_size=20, embedding_units=8, **options)
    disturb_weights(model, np.random.default_rng(1))
    again = saved_and_loaded(model, tmp_path)
    assert count_tables(model) == count_tables(again) == tables
    np.testing.assert_array_equal(numbers(again(inputs[0])), numbers(model(inputs[0])))


@pytest.mark.parametrize("name", ["bahdanau", slow("luong"), slow("gnmt")])
def test_loading_does_not_depend_on_where_objects_lie_in_memory(inputs, name, tmp_path, monkeypatch):
    """While Keras loads a model, it tells shared objects by `id`, which Python gives again once an object is gone.

    Whatever is serialised and deserialised meanwhile may turn into another object; here it always does.
    """
    model = small_model(**ELABORATE[name])
    model.save(tmp_path / "model.keras")
    monkeypatch.setattr(serialization_lib, "id", lambda anything: 1, raising=False)
    again = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(numbers(again(inputs[0])), numbers(model(inputs[0])))
