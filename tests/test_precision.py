import keras
import numpy as np
import pytest
from helpers import numbers, run_python, slow, step_by_step
from test_variants import INPUTS, SELECTED, make_model

from keras_attn import AttentionSeq2Seq, InputError
from keras_attn.models.precision import in_precision

DATES = ["25 décembre 1997", "12/25/1997", "1997년 12월 25일 목요일", "4 March 2021", ""]
ANSWERS = ["1997-12-25", "1997-12-25", "1997-12-25", "2021-03-04", ""]


@pytest.mark.parametrize("names", [SELECTED[0], *map(slow, SELECTED[1:])], ids=str)
def test_a_model_in_bfloat16_is_the_same_but_for_rounding(names):
    model = make_model(*names)
    half = in_precision(model, "bfloat16")
    assert {layer.dtype_policy.name for layer in half._flatten_layers()} == {"bfloat16"}
    assert {weight.dtype for weight in half.weights} == {"bfloat16"}
    for weight, rounded in zip(model.weights, half.weights):
        np.testing.assert_array_equal(numbers(keras.ops.cast(weight, "bfloat16")), numbers(rounded))
    logits, halved = (numbers(each(INPUTS)) for each in (model, half))
    np.testing.assert_allclose(halved, logits, atol=0.03)
    assert (halved != logits).any()
    memory, state = half.encode(INPUTS["source"])
    np.testing.assert_allclose(step_by_step(half, INPUTS["target"], state, memory)[0], halved, atol=0.03)


def test_back_in_float32_nothing_but_the_rounding_of_weights_is_left():
    model = make_model(*SELECTED[0])
    back = in_precision(in_precision(model, "bfloat16"), "float32")
    assert {layer.dtype_policy.name for layer in back._flatten_layers()} == {"float32"}
    model.set_weights([numbers(keras.ops.cast(weight, "bfloat16")) for weight in model.weights])
    np.testing.assert_array_equal(back(INPUTS), model(INPUTS))


def test_recurrent_matrices_begin_orthogonal_in_bfloat16():
    model = AttentionSeq2Seq(12, 10, units=8, dtype="bfloat16")
    model.build()
    matrices = [numbers(weight) for weight in model.weights if "recurrent_kernel" in weight.path]
    assert len(matrices) == 3
    for matrix in matrices:
        np.testing.assert_allclose(matrix @ matrix.T, np.eye(8), atol=0.02)


class TestTranslator:
    @pytest.fixture(scope="class")
    def translators(self):
        pytest.importorskip("tensorflow_text")
        from keras_attn import Translator

        return Translator.load("dates"), Translator.load("dates", precision="bfloat16")

    def test_it_translates_as_before(self, translators):
        for translator in translators:
            assert translator(DATES) == ANSWERS
        full, half = (translator.translate(DATES) for translator in translators)
        for one, other in zip(full, half):
            assert other.score == pytest.approx(one.score, abs=0.05)
            np.testing.assert_allclose(other.attention, one.attention, atol=0.05)
            assert other.attention.dtype == "float32" and other.token_log_probabilities.dtype == "float32"

    @pytest.mark.slow
    def test_every_search_takes_it(self, translators):
        from keras_attn import BeamSearch, Ensemble, Sampling, Translator
        from keras_attn.decoding import Shortlist

        half = translators[1]
        size = half.target_text.vocabulary_size
        every = Shortlist([range(size)] * half.source_text.vocabulary_size, size)
        texts = half.source_text, half.target_text
        for model, options in [
            (half.model, {"search": BeamSearch, "width": 3, "no_repeat_ngram": 9}),
            (half.model, {"search": BeamSearch, "width": 2, "shortlist": every}),
            (half.model, {"search": Sampling, "temperature": 0.1}),
            (Ensemble([half.model, translators[0].model]), {"search": BeamSearch, "width": 2}),
        ]:
            assert Translator(model, *texts, **options)(DATES) == ANSWERS

    def test_it_scores_as_before(self, translators):
        full, half = (translator.score(DATES[:2], ["1997-12-25", "1997-12-24"]) for translator in translators)
        assert half[0].log_probability == pytest.approx(full[0].log_probability, abs=0.05)
        assert half[1].log_probability == pytest.approx(full[1].log_probability, rel=0.05)

    @pytest.mark.slow
    def test_what_is_saved_loads_and_gives_the_same_numbers(self, translators, tmp_path):
        half = translators[1]
        half.save(tmp_path)
        scores = [translation.score for translation in half.translate(DATES)]
        code = """if True:
            import sys
            from keras_attn import Translator
            print([translation.score for translation in Translator.load(sys.argv[1]).translate(sys.argv[2:])])
            """
        assert run_python(code, tmp_path, *DATES, cwd=tmp_path).strip() == str(scores)

    @pytest.mark.slow
    def test_its_saved_model_is_half_the_size(self, translators, tmp_path):
        import tensorflow as tf

        def exported(translator, name):
            translator.export(tmp_path / name)
            serve = tf.saved_model.load(tmp_path / name).signatures["serving_default"]
            (weights,) = (tmp_path / name / "variables").glob("*.data-*")
            return serve(texts=tf.constant(DATES)), weights.stat().st_size

        (full, size), (half, halved) = map(exported, translators, ["full", "half"])
        assert halved < 0.6 * size
        assert half["translations"].numpy().tolist() == [answer.encode() for answer in ANSWERS]
        assert {name: tensor.dtype for name, tensor in half.items()} == {name: full[name].dtype for name in full}

    def test_an_unknown_precision_is_refused(self, translators):
        with pytest.raises(InputError, match="precision is 'int8', but only 'float32' and 'bfloat16' are known."):
            type(translators[0]).load("dates", precision="int8")
