import numpy as np
import pytest
from helpers import run_python

pytest.importorskip("tensorflow_text")

import tensorflow as tf  # noqa: E402

from keras_attn import AttentionSeq2Seq, BeamSearch, InputError, Translator, learn_text_processor  # noqa: E402

TEXTS = ["ab cd", "b", "", "dcba dcba dcba", "🙂 ?", "a\tb", "  ", "é" * 30]


def untrained_translator(unit="characters", **options):
    text = learn_text_processor(["ab cd dcba é"], unit)
    model = AttentionSeq2Seq(text.vocabulary_size, text.vocabulary_size, units=8)
    model.build()
    model.set_weights([weight * 2 for weight in model.get_weights()])
    return Translator(model, text, text, **options)


@pytest.fixture(scope="module")
def translator():
    return untrained_translator(max_length=20)


def test_a_string_gives_a_string_and_a_list_a_list(translator):
    assert isinstance(translator("ab"), str)
    assert translator(["ab", "cd"]) == [translator("ab"), translator("cd")]
    assert translator([]) == []


def test_batch_mates_and_order_change_nothing(translator):
    together = translator.translate(TEXTS)
    for text, found in zip(TEXTS, together):
        (alone,) = translator.translate([text])
        assert found.text == alone.text and found.tokens == alone.tokens
        np.testing.assert_allclose(found.score, alone.score, rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(found.attention, alone.attention, atol=1e-5)


def test_small_batches_give_what_large_ones_give(translator):
    small = Translator(translator.model, translator.source_text, translator.target_text, max_length=20, batch_size=2)
    assert small(TEXTS) == translator(TEXTS)


def test_another_search_can_be_chosen(translator):
    parts = translator.model, translator.source_text, translator.target_text
    found = Translator(*parts, search=BeamSearch, width=4, max_length=20).translate(TEXTS)
    greedy = translator.translate(TEXTS)
    assert all(a.score >= b.score - 1e-4 for a, b in zip(found, greedy))
    assert any(a.score > b.score + 1e-4 for a, b in zip(found, greedy))


def test_a_translation_tells_where_the_model_looked(translator):
    (found,) = translator.translate(["ab cd"])
    assert found.source_tokens == ["a", "b", " ", "c", "d", "[END]"]
    assert found.attention.shape == (len(found.tokens), 6)
    np.testing.assert_allclose(found.attention.sum(1), 1, atol=1e-5)
    assert found.score < 0


@pytest.mark.parametrize("text", ["", "   ", "\n", "\ufeff"])
def test_empty_text_gives_empty_text(translator, text):
    (found,) = translator.translate([text])
    assert (found.text, found.tokens, found.score) == ("", [], 0.0)
    assert found.attention.shape == (0, 1)


def test_a_very_long_line_gives_an_answer(translator):
    assert isinstance(translator("abcd" * 2500), str)


def test_something_else_than_a_string_is_refused_by_its_number(translator):
    with pytest.raises(InputError, match="Text 2 is 7"):
        translator(["a", 7])


def test_a_text_processor_of_another_size_is_refused_with_both_sizes(translator):
    other = learn_text_processor(["xyz"], "characters")
    with pytest.raises(InputError, match="10 source ids.*7"):
        Translator(translator.model, other, translator.target_text)


@pytest.mark.parametrize("unit", ["words", "subwords"])
def test_other_units_translate_too(unit):
    if unit == "subwords":
        pytest.importorskip("sentencepiece")
    translator = untrained_translator(unit)
    assert all(isinstance(text, str) for text in translator(TEXTS))


@pytest.mark.slow
def test_a_saved_translator_gives_the_same_in_a_fresh_process(translator, tmp_path):
    translator.save(tmp_path / "saved")
    code = "from keras_attn import Translator; print(Translator.load('saved', max_length=20)(['ab cd', 'b', '']))"
    assert run_python(code, cwd=tmp_path).strip() == str(translator(["ab cd", "b", ""]))


def test_a_folder_without_a_model_is_refused_by_the_missing_file(tmp_path):
    with pytest.raises(InputError, match="has no model.keras"):
        Translator.load(tmp_path)


def test_saving_twice_replaces_the_first(translator, tmp_path):
    untrained_translator().save(tmp_path)
    translator.save(tmp_path)
    assert Translator.load(tmp_path, max_length=20)(TEXTS) == translator(TEXTS)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.keras", "source_text.json", "target_text.json"]


def test_one_trace_serves_every_batch(translator):
    traces = translator.translate_tensor.experimental_get_tracing_count()
    translator(["a"])
    translator(TEXTS)
    assert translator.translate_tensor.experimental_get_tracing_count() <= max(traces, 1)


def test_the_graph_gives_padded_tensors(translator):
    found = translator.translate_tensor(tf.constant(["ab", ""]))
    assert found["tokens"].shape[0] == 2 and found["attention"].shape == (*found["tokens"].shape, 3)
    assert found["source_tokens"].numpy().tolist() == [[b"a", b"b", b"[END]"], [b"[END]", b"", b""]]
    assert (found["attention"].numpy()[1] == 0).all()
