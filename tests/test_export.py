import concurrent.futures
import json

import keras
import numpy as np
import pytest
from helpers import run_python
from models import TEXTS, untrained_translator

pytest.importorskip("tensorflow_text")

import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from keras_attn import AttentionSeq2Seq, BeamSearch, Sampling, Translator, learn_text_processor
from keras_attn.layers import AdditiveScore, Attention

SERVE = """
import json, sys

class Nowhere:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "keras_attn":
            raise ImportError(name)

sys.meta_path.insert(0, Nowhere())
import tensorflow as tf, tensorflow_text
signatures = tf.saved_model.load("export").signatures
served = {
    signature: signatures[signature](**{name: tf.constant(value) for name, value in inputs.items()})
    for signature, inputs in json.loads(sys.argv[1]).items()
}
assert not any(name.startswith("keras_attn") for name in sys.modules)
answers = {name: {key: value.numpy().tolist() for key, value in found.items()} for name, found in served.items()}
print(json.dumps(answers, default=bytes.decode))
"""

TARGETS = ["dcba", "", "a", "b c", "d", "ab", "cd", "zz"]

MODELS = {
    "characters": {},
    "words": {"attention": Attention(AdditiveScore(coverage=True)), "input_feeding": True},
    "subwords": {"wiring": "gnmt", "decoder_layers": 2},
}


def untrained_translator_of(unit):
    """The translators of the other tests, each with a model of another kind."""
    plain = untrained_translator(unit)
    model = AttentionSeq2Seq(plain.source_text.vocabulary_size, plain.target_text.vocabulary_size, 8, **MODELS[unit])
    model.build()
    model.set_weights([weight * 2 for weight in model.get_weights()])
    return Translator(model, plain.source_text, plain.target_text, max_length=20)


@pytest.fixture(
    scope="module",
    params=["characters", *(pytest.param(unit, marks=pytest.mark.slow) for unit in ("words", "subwords"))],
)
def exported(request, tmp_path_factory):
    if request.param == "subwords":
        pytest.importorskip("sentencepiece")
    folder = tmp_path_factory.mktemp("export")
    translator = untrained_translator_of(request.param)
    translator.export(folder / "export", name="toy", task="letters", quality={"exact_match": 0.5})
    return translator, folder


@pytest.fixture(scope="module")
def loaded(exported):
    return tf.saved_model.load(str(exported[1] / "export"))


def same_attention(served, translation):
    """Whether the padded weights are those of the translation."""
    rows, columns = translation.attention.shape
    padded = np.array(served).reshape(len(served), -1)
    np.testing.assert_allclose(padded[:rows, :columns], translation.attention, atol=1e-5)


@pytest.mark.slow
def test_every_signature_gives_the_same_where_this_package_cannot_be_imported(exported):
    translator, folder = exported
    beam = {"width": 4, "n": 3, "length_penalty": 0.6}
    pairs = {"texts": TEXTS, "targets": TARGETS}
    requests = {"serving_default": {"texts": TEXTS}, "beam": {"texts": TEXTS, **beam}, "score": pairs, "attend": pairs}
    served = json.loads(run_python(SERVE, json.dumps(requests), cwd=folder))

    for row, expected in enumerate(translator.translate(TEXTS)):
        found = {name: rows[row] for name, rows in served["serving_default"].items()}
        assert found["translations"] == expected.text
        np.testing.assert_allclose(found["log_probabilities"], expected.log_probability, atol=1e-4)
        same_attention(found["attention"], expected)
        for name in ("tokens", "source_tokens"):
            real = getattr(expected, name)
            assert found[name] == real + [""] * (len(found[name]) - len(real))

    parts = translator.model, translator.source_text, translator.target_text
    search = Translator(*parts, search=BeamSearch, width=4, count=3, length_penalty=0.6, max_length=20)
    for texts, scores, best in zip(served["beam"]["translations"], served["beam"]["scores"], search.n_best(TEXTS)):
        assert texts[: len(best)] == [hypothesis.text for hypothesis in best]
        np.testing.assert_allclose(scores[0], best[0].score, atol=1e-4)

    for row, expected in enumerate(translator.score(TEXTS, TARGETS)):
        np.testing.assert_allclose(served["score"]["log_probabilities"][row], expected.log_probability, rtol=1e-4)
        np.testing.assert_allclose(served["score"]["perplexities"][row], expected.perplexity, rtol=1e-4)
        same_attention(served["attend"]["attention"][row], expected)


@pytest.mark.slow
def test_no_texts_have_no_answers_where_unknown_tokens_are_replaced_too(tmp_path):
    untrained_translator(max_length=20, replace_unknown="copy").export(tmp_path / "export")
    serve = tf.saved_model.load(tmp_path / "export").signatures["serving_default"]
    assert serve(texts=tf.constant([], tf.string))["translations"].shape == (0,)


@pytest.mark.slow
@pytest.mark.parametrize(
    "search, options",
    [(BeamSearch, {"width": 3, "length_penalty": "average"}), (Sampling, {}), (BeamSearch, {"width": 3})],
)
def test_the_beam_keeps_what_the_translator_was_told(search, options, tmp_path):
    plain = untrained_translator(max_length=20)
    parts = plain.model, plain.source_text, plain.target_text
    told = Translator(*parts, search=search, count=2, forbidden=["a"], min_length=3, max_length=9, **options)
    told.export(tmp_path / "export")
    loaded = tf.saved_model.load(tmp_path / "export")
    found = loaded.beam(tf.constant(["ab cd", "d"]))["tokens"].numpy()
    assert found.shape[:2] == (2, 2) and b"a" not in found and (found[:, :, 2] != b"").all()


@pytest.mark.parametrize("signature", ["score", "attend"])
@pytest.mark.parametrize("sizes", [(1, 2), (3, 1)])
def test_texts_and_targets_of_different_numbers_are_refused(loaded, signature, sizes):
    texts, targets = (tf.constant(["ab"] * size) for size in sizes)
    with pytest.raises(tf.errors.InvalidArgumentError, match="There must be one target for each text"):
        loaded.signatures[signature](texts=texts, targets=targets)


@pytest.mark.slow
def test_the_beam_has_the_length_penalty_of_the_sampling(tmp_path):
    plain = untrained_translator(max_length=20)
    parts = plain.model, plain.source_text, plain.target_text
    told = Translator(*parts, search=Sampling, count=2, length_penalty=0.3)
    told.export(tmp_path / "export")
    loaded = tf.saved_model.load(tmp_path / "export")
    texts = tf.constant(["ab cd"])
    found, expected = loaded.beam(texts), loaded.beam(texts, length_penalty=tf.constant(0.3))
    np.testing.assert_array_equal(found["scores"], expected["scores"])


@pytest.mark.slow
def test_it_serves_batches_of_any_size_and_none(loaded):
    served = loaded.signatures["serving_default"]
    for size in (0, 1, 5):
        assert served(texts=tf.constant(["ab"] * size, tf.string))["translations"].shape == (size,)


@pytest.mark.slow
def test_sixteen_threads_get_what_one_gets(exported, loaded):
    translator, _ = exported
    serve = loaded.signatures["serving_default"]

    def answer(text):
        return serve(texts=tf.constant([text]))["translations"].numpy()[0].decode()

    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        assert list(pool.map(answer, TEXTS * 4)) == translator(TEXTS) * 4


def test_the_inputs_of_the_beam_have_defaults(exported, loaded):
    """In the signature, where TensorFlow Serving reads them, and for the function of the loaded model."""
    _, folder = exported
    saved = saved_model_pb2.SavedModel()
    saved.ParseFromString((folder / "export" / "saved_model.pb").read_bytes())
    defaults = saved.meta_graphs[0].signature_def["beam"].defaults
    found = {name: tf.make_ndarray(value).item() for name, value in defaults.items()}
    assert found == {"width": 5, "n": 1, "length_penalty": 1.0}
    given = {"width": tf.constant(5), "n": tf.constant(1), "length_penalty": tf.constant(1.0)}
    expected = loaded.signatures["beam"](texts=tf.constant(TEXTS), **given)["translations"]
    np.testing.assert_array_equal(loaded.beam(tf.constant(TEXTS))["translations"], expected)


@pytest.mark.parametrize(
    "wrong, sentence",
    [
        ({"width": 0}, "width must be 1 or more"),
        ({"n": 0}, "n must be 1 or more"),
        ({"n": 6}, "n must not be more than width"),
        ({"length_penalty": -1.0}, "length_penalty must be 0 or more"),
    ],
)
def test_a_request_out_of_range_is_refused(loaded, wrong, sentence):
    given = {"width": 5, "n": 1, "length_penalty": 1.0} | wrong
    beam = loaded.signatures["beam"]
    with pytest.raises(tf.errors.InvalidArgumentError, match=sentence):
        beam(texts=tf.constant(["ab"]), **{name: tf.constant(value) for name, value in given.items()})


def test_it_says_what_it_is(exported, loaded):
    translator, folder = exported
    about = json.loads((folder / "export" / "assets" / "model.json").read_text())
    assert about["name"] == "toy" and about["task"] == "letters" and about["quality"] == {"exact_match": 0.5}
    for side, processor in (("source", translator.source_text), ("target", translator.target_text)):
        assert about[side] == {"unit": processor.unit, "vocabulary_size": processor.vocabulary_size}
    assert about["versions"]["tensorflow"] == tf.__version__
    assert about["signatures"] == sorted(loaded.signatures)


def test_there_is_a_plain_signature_from_string_to_string(exported, loaded):
    translator, _ = exported
    served = loaded.signatures["translate"](texts=tf.constant(["ab"]))
    assert list(served) == ["translations"]
    assert served["translations"].numpy()[0].decode() == translator("ab")


@pytest.mark.slow
@pytest.mark.parametrize("search, options", [(BeamSearch, {"width": 3}), (Sampling, {"temperature": 2.0})])
def test_any_search_can_be_exported(tmp_path, search, options):
    text = learn_text_processor(["ab cd dcba"], "characters")
    model = AttentionSeq2Seq(text.vocabulary_size, text.vocabulary_size, units=8)
    translator = Translator(model, text, text, search=search, max_length=9, **options)
    translator.export(tmp_path / "export")
    served = tf.saved_model.load(str(tmp_path / "export")).signatures["translate"](texts=tf.constant(["ab", "", "dd"]))
    assert [text.decode() for text in served["translations"].numpy()] == translator(["ab", "", "dd"])


@pytest.mark.slow
def test_two_subword_vocabularies_are_not_mixed_up(tmp_path):
    pytest.importorskip("sentencepiece")
    source, target = (learn_text_processor([text], "subwords") for text in ("ab cd dcba", "xyz zyx wxyz"))
    model = AttentionSeq2Seq(source.vocabulary_size, target.vocabulary_size, units=8)
    translator = Translator(model, source, target, max_length=9)
    translator.export(tmp_path / "export")
    keras.utils.set_random_seed(1)  # this destroys the resources of TensorFlow's kernels
    served = tf.saved_model.load(str(tmp_path / "export")).signatures["serving_default"](texts=tf.constant(["ab cd"]))
    pieces = b"".join(served["source_tokens"].numpy()[0].tolist()).decode()
    assert pieces == "▁ab▁cd[END]"
    assert served["translations"].numpy()[0].decode() == translator("ab cd")
    assert set(translator("ab cd")) <= set("wxyz ")


def test_it_holds_no_keras_object(exported):
    _, folder = exported
    saved = saved_model_pb2.SavedModel()
    saved.ParseFromString((folder / "export" / "saved_model.pb").read_bytes())
    nodes = saved.meta_graphs[0].object_graph_def.nodes
    assert not [node.user_object.identifier for node in nodes if "keras" in node.user_object.identifier.lower()]


def test_it_holds_no_gradients_and_what_several_signatures_call_only_once(exported):
    _, folder = exported
    saved = saved_model_pb2.SavedModel()
    saved.ParseFromString((folder / "export" / "saved_model.pb").read_bytes())
    names = [function.signature.name for function in saved.meta_graphs[0].graph_def.library.function]
    assert not [name for name in names if "grad" in name]
    for shared in ("_read", "to_text"):
        assert len([name for name in names if name.startswith(f"__inference_{shared}")]) == 1


@pytest.mark.slow
def test_an_export_that_dies_leaves_the_old_one_as_it_was(exported, monkeypatch):
    translator, folder = exported
    before = sorted(path.name for path in folder.iterdir())

    def die(*arguments, **options):
        raise OSError("disk full")

    monkeypatch.setattr(tf.saved_model, "save", die)
    with pytest.raises(OSError, match="disk full"):
        translator.export(folder / "export")
    monkeypatch.undo()
    assert sorted(path.name for path in folder.iterdir()) == before
    assert tf.saved_model.load(str(folder / "export")).signatures["translate"]
