import json

import keras
import numpy as np
import pytest
from helpers import run_python
from test_translator import TEXTS, untrained_translator

pytest.importorskip("tensorflow_text")

import tensorflow as tf  # noqa: E402
from tensorflow.core.protobuf import saved_model_pb2  # noqa: E402

from keras_attn import AttentionSeq2Seq, BeamSearch, Sampling, Translator, learn_text_processor  # noqa: E402
from keras_attn.layers import AdditiveScore, Attention  # noqa: E402

SERVE = """
import json, sys

class Nowhere:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "keras_attn":
            raise ImportError(name)

sys.meta_path.insert(0, Nowhere())
import tensorflow as tf, tensorflow_text
serve = tf.saved_model.load("export").signatures[sys.argv[1]]
served = serve(texts=tf.constant(json.loads(sys.argv[2]), tf.string))
assert not any(name.startswith("keras_attn") for name in sys.modules)
print(json.dumps({name: tensor.numpy().tolist() for name, tensor in served.items()}, default=bytes.decode))
"""


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


@pytest.fixture(scope="module", params=MODELS)
def exported(request, tmp_path_factory):
    if request.param == "subwords":
        pytest.importorskip("sentencepiece")
    folder = tmp_path_factory.mktemp("export")
    translator = untrained_translator_of(request.param)
    translator.export(folder / "export")
    return translator, folder


@pytest.mark.slow
def test_it_gives_the_same_where_this_package_cannot_be_imported(exported):
    translator, folder = exported
    served = json.loads(run_python(SERVE, "serving_default", json.dumps(TEXTS), cwd=folder))
    assert served["translations"] == translator(TEXTS)
    expected = translator.translate_tensor(tf.constant(TEXTS))
    for name in ("scores", "attention"):
        np.testing.assert_allclose(served[name], expected[name], atol=1e-5)
    for name in ("tokens", "source_tokens"):
        assert served[name] == [[token.decode() for token in row] for row in expected[name].numpy()]


def test_it_serves_batches_of_any_size_and_none(exported):
    _, folder = exported
    served = tf.saved_model.load(str(folder / "export")).signatures["serving_default"]
    for size in (0, 1, 5):
        assert served(texts=tf.constant(["ab"] * size, tf.string))["translations"].shape == (size,)


def test_there_is_a_plain_signature_from_string_to_string(exported):
    translator, folder = exported
    served = tf.saved_model.load(str(folder / "export")).signatures["translate"](texts=tf.constant(["ab"]))
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
