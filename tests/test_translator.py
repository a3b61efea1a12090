import shutil

import keras
import numpy as np
import pytest
from helpers import run_python, slow
from models import TEXTS, untrained_translator

pytest.importorskip("tensorflow_text")


from keras_attn import (
    AttentionSeq2Seq,
    BeamSearch,
    Ensemble,
    InputError,
    Sampling,
    Translator,
    learn_text_processor,
)
from keras_attn.ids import END


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


@pytest.mark.slow
def test_small_batches_give_what_large_ones_give(translator):
    small = Translator(translator.model, translator.source_text, translator.target_text, max_length=20, batch_size=2)
    assert small(TEXTS) == translator(TEXTS)


@pytest.mark.slow
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


@pytest.mark.parametrize(
    "text, sentence", [(7, "Text 2 is 7"), ("b\ud800", "Text 2 is .*, half of whose character is")]
)
def test_something_else_than_a_string_is_refused_by_its_number(translator, text, sentence):
    with pytest.raises(InputError, match=sentence):
        translator(["a", text])


def test_a_text_processor_of_another_size_is_refused_with_both_sizes(translator):
    other = learn_text_processor(["xyz"], "characters")
    with pytest.raises(InputError, match="10 source ids.*7"):
        Translator(translator.model, other, translator.target_text)


@pytest.mark.parametrize("unit", ["subwords", slow("words")])
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


def test_nothing_is_no_folder_to_load_from():
    with pytest.raises(InputError, match="There is no folder to load a model from"):
        Translator.load([])


def test_a_folder_without_a_model_is_refused_by_the_missing_file(tmp_path):
    with pytest.raises(InputError, match="has no model.keras"):
        Translator.load(tmp_path)


@pytest.mark.slow
def test_saving_twice_replaces_the_first(translator, tmp_path):
    untrained_translator().save(tmp_path)
    translator.save(tmp_path)
    assert Translator.load(tmp_path, max_length=20)(TEXTS) == translator(TEXTS)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "about.json",
        "model.keras",
        "source_text.json",
        "target_text.json",
    ]


def test_one_trace_serves_every_batch(translator):
    for texts in (["a"], TEXTS):
        translator(texts)
    assert translator._translate_tensor.experimental_get_tracing_count() == 1


def test_the_best_of_several_is_the_translation(translator):
    parts = translator.model, translator.source_text, translator.target_text
    several = Translator(*parts, search=BeamSearch, width=4, count=3, max_length=20)
    lists = several.n_best(TEXTS)
    assert [hypotheses[0].text for hypotheses in lists] == several(TEXTS)
    for text, hypotheses in zip(TEXTS, lists):
        assert len(hypotheses) == (3 if text.strip() else 1)
        scores = [hypothesis.score for hypothesis in hypotheses]
        assert scores == sorted(scores, reverse=True)
        assert len({tuple(hypothesis.tokens) for hypothesis in hypotheses}) == len(hypotheses)


@pytest.mark.slow
def test_every_target_begins_with_its_own_prefix(translator):
    parts = translator.model, translator.source_text, translator.target_text
    texts, prefixes = ["ab", "", "cd dcba"], ["cd", "a", ""]
    search = Translator(*parts, search=BeamSearch, width=2, max_length=20)
    found = search.translate(texts, prefixes)
    assert found[0].text.startswith("cd") and found[1].text == ""
    assert found[2].text == search("cd dcba")


def test_greedy_search_says_that_it_takes_no_prefix(translator):
    with pytest.raises(InputError, match="Greedy search takes no prefix; use BeamSearch"):
        translator.translate(["ab"], ["a"])


def test_a_stream_gives_what_the_list_gives(translator):
    for window in (1, 3, 100):
        assert [found[0].text for found in translator.stream(iter(TEXTS), window=window)] == translator(TEXTS)


def test_a_stream_reads_no_further_than_its_window(translator):
    read = []
    texts = (read.append(text) or text for text in TEXTS)
    next(translator.stream(texts, window=2))
    assert read == TEXTS[:2]


def test_scores_come_in_the_order_of_the_pairs_whatever_is_beside_them(translator):
    targets = ["cd", "", "a" * 40, "b", "x", "ab", "", "dcba"]
    together = translator.score(TEXTS, targets)
    assert [scored.text for scored in together] == targets
    for text, target, scored in zip(TEXTS, targets, together):
        (alone,) = translator.score([text], [target])
        np.testing.assert_allclose(scored.log_probability, alone.log_probability, rtol=1e-4)
        np.testing.assert_allclose(scored.attention, alone.attention, atol=1e-5)
    streamed = translator.stream_scores(zip(TEXTS, targets), window=3)
    np.testing.assert_allclose(
        [each.log_probability for each in streamed], [each.log_probability for each in together], rtol=1e-4
    )


@pytest.mark.parametrize(
    "use, sentence",
    [
        (lambda t: t.score(["a"], ["b", "c"]), "There are 1 texts and 2 targets"),
        (lambda t: t.score(["a"], [None]), "Target 1 is None"),
        (lambda t: t(b"ab"), "Text is the string b'ab', but there must be a list"),
        (lambda t: list(t.stream_scores(["ab"])), "Element 1 of the pairs is 'ab'"),
        (lambda t: list(t.stream_scores([("a", "b", "c")])), "Element 1 of the pairs is"),
        (lambda t: t.explain(""), "translated in 0 steps"),
        (lambda t: list(t.stream(["a"], window=0)), "window is 0"),
    ],
)
def test_what_does_not_go_together_is_refused(translator, use, sentence):
    with pytest.raises(InputError, match=sentence):
        use(translator)


@pytest.mark.parametrize(
    "options, sentence",
    [
        ({"batch_size": 0}, "batch_size is 0"),
        ({"search": BeamSearch, "forbidden": ["xyz"]}, "'xyz' cannot be forbidden: the target has no such token"),
        ({"search": BeamSearch, "forbidden": [99]}, "99 cannot be forbidden: the target has the ids 0 to"),
        ({"search": BeamSearch, "forbidden": "ab"}, "forbidden is the string 'ab', but there must be a list"),
        ({"shortlist": [1, 2]}, "A shortlist is a dictionary .* but this is a list"),
        ({"replace_unknown": {"ab": 3}}, "replace_unknown has a key or value that is no string"),
        ({"replace_unknown": {3: "ab"}}, "replace_unknown has a key or value that is no string"),
        ({"search": BeamSearch, "forbidden": [""]}, "forbidden holds '', but it must hold tokens"),
        ({"search": BeamSearch, "forbidden": [None]}, "forbidden holds None, but it must hold tokens"),
        ({"search": BeamSearch, "forbidden": b"ab"}, "forbidden is the string b'ab', but there must be a list"),
        ({"forbidden": ["a"]}, "Greedy search takes no forbidden; use BeamSearch, of width 1"),
        ({"width": 5}, "Greedy search takes no width; use BeamSearch"),
        ({"search": BeamSearch, "width": 2, "wdith": 5}, "BeamSearch has no option wdith"),
        ({"search": Sampling, "lookahead": 5}, "Sampling has no option lookahead"),
    ],
)
def test_an_option_that_makes_no_sense_is_refused(translator, options, sentence):
    with pytest.raises(InputError, match=sentence):
        Translator(translator.model, translator.source_text, translator.target_text, **options)


@pytest.mark.slow
def test_what_is_certain_is_found_as_well():
    sure = untrained_translator()
    sure.model.decoder.logits.bias.assign(60 * keras.ops.one_hot(END, sure.target_text.vocabulary_size))
    parts = sure.model, sure.source_text, sure.target_text
    found = Translator(*parts, search=Sampling, count=3).n_best(["ab"])[0]
    assert [(each.text, each.log_probability) for each in found] == [("", 0.0)] * 3


def test_a_mark_is_forbidden_in_every_place():
    text = learn_text_processor(["ab, cd ab , cd"], "words")
    model = AttentionSeq2Seq(text.vocabulary_size, text.vocabulary_size, units=8)
    search = Translator(model, text, text, search=BeamSearch, width=2, forbidden=[","]).search
    assert [text.tokens[each] for each in search.constraints.forbidden] == [
        token for token in text.tokens if token.strip("￭") == ","
    ]
    assert len(search.constraints.forbidden) == 2


def test_a_string_in_the_place_of_a_list_is_refused(translator):
    stream = lambda text: list(translator.stream(text))
    for call in (translator.translate, translator.n_best, stream, lambda text: translator.score(text, ["a"])):
        with pytest.raises(InputError, match="is the string 'ab', but there must be a list of strings"):
            call("ab")


def test_an_ensemble_is_not_saved_as_one_model(translator, tmp_path):
    parts = translator.source_text, translator.target_text
    with pytest.raises(InputError, match="save each of its models"):
        Translator(Ensemble([translator.model]), *parts).save(tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_a_forbidden_token_is_never_written(translator):
    parts = translator.model, translator.source_text, translator.target_text
    letters = set("".join(translator(TEXTS)))
    forbidden = sorted(letters)[:1]
    found = Translator(*parts, search=BeamSearch, width=1, max_length=20, forbidden=forbidden)(TEXTS)
    assert letters and not set(forbidden) & set("".join(found))


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Two saved translators of one vocabulary, and one of another."""
    folder = tmp_path_factory.mktemp("saved")
    for name, alphabet in (("one", "ab cd dcba é"), ("two", "ab cd dcba é"), ("three", "ab cd dcba e")):
        text = learn_text_processor([alphabet], "characters")
        Translator(AttentionSeq2Seq(text.vocabulary_size, text.vocabulary_size, units=8), text, text).save(
            folder / name
        )
    return folder


@pytest.mark.slow
def test_several_folders_translate_together(folders):
    together = Translator.load([folders / "one", folders / "two"], max_length=20)
    models = [Translator.load(folders / name).model for name in ("one", "two")]
    expected = Translator(Ensemble(models), together.source_text, together.target_text, max_length=20)
    assert together(TEXTS) == expected(TEXTS)
    assert together.score(["ab"], ["cd"])[0].log_probability == pytest.approx(
        expected.score(["ab"], ["cd"])[0].log_probability
    )


def test_models_of_other_vocabularies_are_refused_by_the_first_difference(folders):
    with pytest.raises(
        InputError, match="source side of .*one and .*three, id 9 is 'é' in the one and 'e' in the other"
    ):
        Translator.load([folders / "one", folders / "three"])


def test_a_folder_of_another_version_says_which(folders, tmp_path):
    shutil.copytree(folders / "one", tmp_path / "old")
    (tmp_path / "old" / "about.json").write_text("{}")
    with pytest.raises(InputError, match=r"old was written by keras_attn an early version \(format None\)"):
        Translator.load(tmp_path / "old")
    (tmp_path / "old" / "about.json").write_text('{"format": 1, "versions": {"keras_attn": "0.0.7"}}')
    with pytest.raises(
        InputError, match=r"old was written by keras_attn 0.0.7 \(format 1\), but this is .* \(format 2\)"
    ):
        Translator.load(tmp_path / "old")
