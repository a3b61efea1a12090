"""Of `StringModel`, what a `Translator` does not show: the padded tensors; and unknown words."""

import numpy as np
import pytest
from models import TEXTS, untrained_translator

pytest.importorskip("tensorflow_text")

import tensorflow as tf

from keras_attn import AttentionSeq2Seq, BeamSearch, Ensemble, InputError, Translator, learn_text_processor
from keras_attn.decoding.hypotheses import Hypotheses
from keras_attn.ids import END, UNKNOWN


def test_the_graph_gives_padded_tensors():
    translator = untrained_translator(max_length=20)
    found = translator.strings.translate(tf.constant(["ab", ""]), translator.search)
    assert found["tokens"].shape[:2] == (2, 1) and found["attention"].shape == (*found["tokens"].shape, 3)
    assert found["token_log_probabilities"].shape == found["tokens"].shape
    assert found["source_tokens"].numpy().tolist() == [[b"a", b"b", b"[END]"], [b"[END]", b"", b""]]
    assert (found["attention"].numpy()[1] == 0).all()


def test_a_batch_of_nothing_gives_nothing():
    force = tf.function(untrained_translator().strings.force)
    none = tf.constant([], tf.string)
    assert all(len(tensor) == 0 for tensor in force(none, none).values())


class Pointing:
    """A search whose answer is known: unknown tokens that look at the source words in turn."""

    def __init__(self, model, tokens=(UNKNOWN, UNKNOWN, END)):
        self.tokens = tokens

    def __call__(self, source):
        batch, length = tf.unstack(tf.shape(source))
        weights = tf.tile(tf.eye(len(self.tokens), length)[None, None], [batch, 1, 1, 1])
        # The end token attracts most; but it is no word to copy.
        weights = tf.where((source == END)[:, None, None], 2.0, weights)
        zeros = tf.zeros([batch, 1])
        tokens = tf.tile(tf.constant([[self.tokens]]), [batch, 1, 1])
        return Hypotheses(tokens, zeros, weights, zeros, tf.zeros(tf.shape(tokens)))


def pointing_translator(unit, replace_unknown, source_unit=None, source_form="NFKC", **options):
    learned = {"words": ["the cat sat"], "characters": ["abc"], "subwords": ["the cat sat on the mat"] * 3}
    source = learn_text_processor(learned[source_unit or unit], source_unit or unit, normalization=source_form)
    target = learn_text_processor(learned[unit], unit)
    model = AttentionSeq2Seq(source.vocabulary_size, target.vocabulary_size, units=8, **options)
    return Translator(model, source, target, search=Pointing, replace_unknown=replace_unknown)


def test_an_unknown_token_is_left_out_or_the_most_looked_at_word_is_copied():
    assert pointing_translator("words", None)("zebra quagga") == ""
    translator = pointing_translator("words", "copy")
    assert translator("zebra quagga") == "zebra quagga"
    assert translator.translate(["zebra quagga"])[0].tokens == ["zebra", "quagga"]


def test_a_word_is_looked_up_and_copied_where_the_lexicon_has_none():
    assert pointing_translator("words", {"zebra": "얼룩말"})("zebra quagga") == "얼룩말 quagga"
    assert pointing_translator("words", {})("zebra quagga") == "zebra quagga"


def test_an_entry_may_say_that_nothing_is_written():
    assert pointing_translator("words", {"얼룩말": ""})("얼룩말") == ""


def test_a_lexicon_is_read_as_the_source_is():
    assert pointing_translator("words", {"ｚｅｂｒａ": "Z", "zebra": "Y"})("ｚｅｂｒａ quagga") == "Y quagga"


@pytest.mark.parametrize("replace_unknown, first", [("copy", "얼룩말"), ({"얼룩말": "zebra"}, "zebra")])
def test_what_was_taken_apart_is_looked_up_and_copied_as_people_write_it(replace_unknown, first):
    translator = pointing_translator("words", replace_unknown, source_form="NFD")
    (translation,) = translator.translate(["얼룩말 é"])
    assert translation.text == f"{first} é" and translation.tokens == [first, "é"]


def test_characters_are_copied_one_by_one():
    assert pointing_translator("characters", "copy")("xy") == "xy"


def test_a_piece_is_replaced_by_its_whole_word():
    pytest.importorskip("sentencepiece")
    assert pointing_translator("words", "copy", source_unit="subwords")("thesat zzz").split()[0] == "thesat"
    assert pointing_translator("subwords", "copy", source_unit="words")("zebra quagga") == "zebra quagga"


def test_nothing_is_copied_from_an_empty_source():
    assert pointing_translator("words", "copy")("") == ""


def test_a_known_token_stays():
    translator = pointing_translator("words", "copy")
    translator.search = Pointing(None, (4, UNKNOWN, END))
    assert translator("zebra quagga") == translator.target_text.tokens[4] + " quagga"


@pytest.mark.parametrize(
    "replace_unknown, options, sentence",
    [
        ("move", {}, "replace_unknown is 'move', but it must be None, 'copy' or a dictionary"),
        ("copy", {"wiring": "none"}, "its wiring is 'none' and it looks nowhere"),
    ],
)
def test_what_cannot_be_replaced_is_refused(replace_unknown, options, sentence):
    with pytest.raises(InputError, match=sentence):
        pointing_translator("words", replace_unknown, **options)


@pytest.mark.slow
def test_given_targets_have_the_probabilities_that_the_steps_gave_them():
    """Teacher forcing against a search, which goes one step at a time."""
    translator = untrained_translator(search=BeamSearch, width=3, forbidden=["[UNK]", " "], max_length=12)
    found = [each for each in zip(TEXTS, translator.translate(TEXTS)) if 0 < len(each[1].tokens) < 12]
    assert len(found) > 1
    for (_, one), other in zip(found, translator.score(*zip(*((text, each.text) for text, each in found)))):
        assert other.tokens == one.tokens
        for name in ("log_probability", "token_log_probabilities", "attention"):
            np.testing.assert_allclose(getattr(other, name), getattr(one, name), rtol=1e-3, atol=1e-5)


def test_an_ensemble_of_models_that_look_nowhere_replaces_nothing():
    one = pointing_translator("words", None, wiring="none")
    with pytest.raises(InputError, match="it looks nowhere"):
        Translator(Ensemble([one.model, one.model]), one.source_text, one.target_text, replace_unknown="copy")


def test_a_target_that_is_cut_off_has_the_perplexity_of_its_tokens_alone():
    (cut,) = untrained_translator(search=BeamSearch, width=1, min_length=3, max_length=3).translate(["ab"])
    assert len(cut.tokens) == 3
    np.testing.assert_allclose(cut.log_probability, cut.token_log_probabilities.sum(), rtol=1e-5)
    np.testing.assert_allclose(cut.perplexity, np.exp(-cut.log_probability / 3), rtol=1e-5)


def test_the_perplexity_is_that_of_the_tokens_and_the_end():
    (scored,) = untrained_translator().score(["ab"], ["abc"])
    np.testing.assert_allclose(scored.perplexity, np.exp(-scored.log_probability / 4), rtol=1e-6)
    assert scored.log_probability < scored.token_log_probabilities.sum()
