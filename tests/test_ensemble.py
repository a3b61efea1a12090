import keras
import numpy as np
import pytest
from helpers import numbers, random_ids, slow, softmax, step_by_step

tf = pytest.importorskip("tensorflow")

from models import bold_model

from keras_attn import AttentionSeq2Seq, BeamSearch, Ensemble, GreedyDecoder, InputError


@pytest.fixture
def source(rng):
    return random_ids(rng, 20, [5, 2, 7])


def two_models():
    return bold_model(), bold_model(wiring="bahdanau", cell="lstm")


@pytest.mark.parametrize("average", ["probabilities", "logarithms"])
def test_a_step_averages_what_the_models_say(source, average):
    models = two_models()
    tokens = np.array([4, 5, 6])
    separate = [model.step(tokens, *reversed(model.encode(source))) for model in models]
    ensemble = Ensemble(models, average)
    memory, state = ensemble.encode(source)
    logits, _, weights = ensemble.step(tokens, state, memory)
    probabilities = [softmax(numbers(each[0])) for each in separate]
    expected = np.mean(probabilities, 0) if average == "probabilities" else softmax(np.mean(np.log(probabilities), 0))
    np.testing.assert_allclose(softmax(numbers(logits)), expected, rtol=1e-4)
    np.testing.assert_allclose(weights, np.mean([numbers(each[2]) for each in separate], 0), atol=1e-6)


@pytest.mark.parametrize("average", ["probabilities", "logarithms"])
def test_a_given_target_gets_what_its_steps_get(source, average):
    ensemble = Ensemble(two_models(), average)
    target = random_ids(np.random.default_rng(1), 15, [3, 3, 3])
    logits, weights = ensemble.teacher_forced({"source": source, "target": target})
    memory, state = ensemble.encode(source)
    stepwise = step_by_step(ensemble, target, state, memory)
    np.testing.assert_allclose(logits, stepwise[0], atol=1e-4)
    np.testing.assert_allclose(weights, stepwise[1], atol=1e-5)


def test_an_ensemble_may_be_part_of_another(source):
    model = bold_model()
    alone, within = (
        GreedyDecoder(each, max_length=9)(source) for each in (model, Ensemble([Ensemble([model]), model]))
    )
    np.testing.assert_array_equal(alone.tokens, within.tokens)
    np.testing.assert_allclose(alone.scores, within.scores, rtol=1e-4)


def test_models_of_different_precision_search_together(source):
    model, wide = bold_model(), bold_model(dtype="float64")
    wide.set_weights(model.get_weights())
    found, alone = (BeamSearch(each, width=2, max_length=9)(source) for each in (Ensemble([model, wide]), model))
    np.testing.assert_array_equal(found.tokens, alone.tokens)
    np.testing.assert_allclose(found.attention_weights, alone.attention_weights, atol=1e-5)


@pytest.mark.parametrize("search", [GreedyDecoder, slow(BeamSearch)])
def test_a_model_twice_is_the_model(source, search):
    model = bold_model()
    options = {"repetition_penalty": 1.5} if search is BeamSearch else {}
    alone, twice = (search(each, max_length=9, **options)(source) for each in (model, Ensemble([model, model])))
    np.testing.assert_array_equal(alone.tokens, twice.tokens)
    np.testing.assert_allclose(alone.scores, twice.scores, rtol=1e-4)


def test_models_with_other_vocabularies_are_refused_with_the_first_difference():
    keras.utils.set_random_seed(0)
    models = [AttentionSeq2Seq(20, size, units=4) for size in (15, 15, 16)]
    with pytest.raises(InputError, match="target_vocabulary_size is 15 in model 1 and 16 in model 3"):
        Ensemble(models)


@pytest.mark.parametrize("models, options, sentence", [([], {}, "one model"), ([None], {"average": "max"}, "'max'")])
def test_what_is_no_ensemble_is_refused(models, options, sentence):
    with pytest.raises(InputError, match=sentence):
        Ensemble(models, **options)
