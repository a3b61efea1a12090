import functools

import keras
import numpy as np
import pytest
from helpers import slow, softmax
from matplotlib import pyplot

from keras_attn import Attention, AttentionSeq2Seq, InputError, explain
from keras_attn.ids import END
from keras_attn.layers import AdditiveScore

# The worked example of the textbooks, as they print it.
QUERY = [10, 5, 10]
KEYS = [[0, 1, 1], [5, 0, 1], [1, 1, 0], [0, 5, 1]]


def test_the_textbook_example_gives_the_textbook_numbers():
    found = explain(QUERY, KEYS)
    np.testing.assert_array_equal(found.scores, [15, 60, 15, 35])
    np.testing.assert_allclose(found.weights, [2.86251858e-20, 1, 2.86251858e-20, 1.38879439e-11], rtol=1e-8)
    np.testing.assert_allclose(found.alignment_vectors[1], [5, 0, 1], rtol=1e-8)
    np.testing.assert_allclose(found.context, [5, 6.94397194e-11, 1], rtol=1e-8)


def test_the_table_shows_the_numbers_and_the_formula_of_each_step():
    table = str(explain(QUERY, KEYS))
    for words in (
        "q = [10, 5, 10]",
        "score = q · k",
        "weight = softmax(score)",
        "alignment vector = weight × value",
        "context vector = [5, 6.94397194e-11, 1]",
    ):
        assert words in table
    row = next(line for line in table.splitlines() if line.startswith("[0, 5, 1]"))
    assert row.split("  ")[-1].startswith("[0, 6.9439719") and "35" in row and "1.38879439e-11" in row


@pytest.mark.parametrize(
    "score, expected",
    [
        ("scaled-dot", np.array([15, 60, 15, 35]) / np.sqrt(3)),
        ("cosine", np.array([15 / 2**0.5, 60 / 26**0.5, 15 / 2**0.5, 35 / 26**0.5]) / 15),
    ],
)
def test_other_scores_give_their_own_numbers(score, expected):
    found = explain(QUERY, KEYS, values=np.eye(4), score=score)
    np.testing.assert_allclose(found.scores, expected, rtol=1e-6)
    np.testing.assert_allclose(found.context, softmax(expected), rtol=1e-6)


def test_a_layer_with_weights_of_its_own_can_be_the_score():
    score = AdditiveScore(units=2)
    found = explain(QUERY, KEYS, score=score)
    keys, query, scale = (weight.numpy() for weight in (score.projection.kernel, score.query.kernel, score.scale))
    expected = np.tanh(np.array(QUERY) @ query + np.array(KEYS) @ keys) @ scale
    np.testing.assert_allclose(found.scores, expected, rtol=1e-5)
    assert "tanh" in str(found)


@pytest.mark.parametrize(
    "arguments, sentence",
    [
        ({"score": "additive"}, "score is 'additive', but only dot, scaled-dot, cosine need no weights"),
        ({"query": [QUERY]}, "query is .* but it must be a vector of numbers"),
        ({"keys": []}, "keys is .* but it must be a row of numbers"),
        ({"keys": [[1, 2], [3]]}, "keys is .* but it must be a row of numbers"),
        ({"values": [[1]]}, "4 keys and 1 values"),
        ({"source_tokens": ["a"]}, "4 keys and 1 source tokens"),
        ({"keys": [[1, 2]]}, "The query has 3 numbers and each key 2; score='dot' needs as many on both sides"),
    ],
)
def test_what_does_not_fit_is_refused(arguments, sentence):
    with pytest.raises(InputError, match=sentence):
        explain(**{"query": QUERY, "keys": KEYS, **arguments})


def test_it_is_drawn_as_five_panels(tmp_path):
    figure = explain(QUERY, KEYS).plot(tmp_path / "steps.png")
    assert (tmp_path / "steps.png").stat().st_size > 5_000
    titles = [axes.get_title().split("\n")[0] for axes in figure.axes]
    assert titles == ["query and keys", "1. score", "2. weight", "3. alignment vectors", "4. context vector"]
    bars = [patch.get_width() for patch in figure.axes[1].patches]
    assert bars == [15, 60, 15, 35]
    pyplot.close("all")


TWO_HEADS = Attention("scaled-dot", heads=2)


@pytest.fixture(scope="module")
def translator_with():
    pytest.importorskip("tensorflow_text")
    from keras_attn import Translator, learn_text_processor

    @functools.cache  # each is traced once
    def make(**options):
        keras.utils.set_random_seed(1)
        text = learn_text_processor(["ab cd dcba é"], "characters")
        model = AttentionSeq2Seq(text.vocabulary_size, text.vocabulary_size, units=8, **options)
        model.build()
        model.set_weights([weight * 2 for weight in model.get_weights()])
        never_ends = keras.ops.one_hot(END, text.vocabulary_size) * -1e3
        model.decoder.logits.bias.assign(never_ends)
        return Translator(model, text, text, max_length=6)

    return make


@pytest.mark.parametrize(
    "options",
    [
        {},
        slow({"input_feeding": True, "attention": "additive"}),
        slow({"wiring": "bahdanau", "attention": Attention("general", "local-m"), "decoder_layers": 2}),
        slow(
            {"wiring": "gnmt", "attention": Attention(AdditiveScore(coverage=True), "monotonic"), "decoder_layers": 2}
        ),
    ],
)
def test_a_step_of_a_translation_is_explained_with_its_own_numbers(translator_with, options):
    translator = translator_with(**options)
    (translation,) = translator.translate(["ab cd"])
    found = translator.explain("ab cd", step=3)
    np.testing.assert_allclose(found.weights, translation.attention[2], atol=1e-6)
    np.testing.assert_allclose(found.context, found.weights @ found.values, atol=1e-5)
    assert found.source_tokens == translation.source_tokens
    assert found.written == translation.tokens[:2]
    assert found.candidates[0][0] == translation.tokens[2]
    if options == {}:
        np.testing.assert_allclose(softmax(found.scores), found.weights, atol=1e-6)
        np.testing.assert_allclose(found.keys @ found.query / np.sqrt(8), found.scores, atol=1e-5)


def test_each_head_is_explained_by_itself(translator_with):
    translator = translator_with(attention=TWO_HEADS)
    (translation,) = translator.translate(["ab cd"])
    heads = [translator.explain("ab cd", step=2, head=head).weights for head in (1, 2)]
    assert not np.allclose(*heads)
    np.testing.assert_allclose(np.mean(heads, axis=0), translation.attention[1], atol=1e-6)


@pytest.mark.parametrize("options", [{}, slow({"wiring": "bahdanau"}), slow({"input_feeding": True})])
def test_head_weights_are_those_of_each_head_and_their_mean_is_the_attention(translator_with, options):
    translator = translator_with(attention=TWO_HEADS, **options)
    found = translator.translate(["ab cd", "d?"])  # with a character that the vocabulary lacks
    for text, translation in zip(["ab cd", "d?"], found):
        weights = translator.head_weights(translation)
        assert weights.shape == (2, *translation.attention.shape) and weights.dtype == "float32"
        np.testing.assert_allclose(weights.mean(axis=0), translation.attention, atol=1e-6)
        for head in (1, 2):
            first_and_last = [translator.explain(text, step, head).weights for step in (1, len(translation.tokens))]
            np.testing.assert_allclose(weights[head - 1, [0, -1]], first_and_last, atol=1e-6)
    (scored,) = translator.score(["ab cd"], ["dcba"])
    np.testing.assert_allclose(translator.head_weights(scored).mean(axis=0), scored.attention, atol=1e-6)
    (empty,) = translator.translate([""])
    assert translator.head_weights(empty).shape == (2, 0, 1)


def test_head_weights_are_those_of_marks_that_are_joined_to_words(translator_with):
    """A comma is read as such, but is another token with a space beside it than without."""
    from keras_attn import Translator, learn_text_processor

    text = learn_text_processor(["ab, cd. ab , (cd)"], "words")
    model = AttentionSeq2Seq(text.vocabulary_size, text.vocabulary_size, units=8, attention=TWO_HEADS)
    translator = Translator(model, text, text, max_length=6)
    (scored,) = translator.score(["ab, (cd)."], ["cd, ab , ab."])
    np.testing.assert_allclose(translator.head_weights(scored).mean(axis=0), scored.attention, atol=1e-6)


def test_where_there_are_no_several_heads_the_attention_counts_as_one(translator_with):
    from keras_attn import Ensemble, Translator

    one, two = translator_with(), translator_with(attention=TWO_HEADS)
    together = Translator(Ensemble([two.model, two.model]), two.source_text, two.target_text, max_length=6)
    for translator in (one, together, translator_with(wiring="none")):
        (translation,) = translator.translate(["ab cd"])
        np.testing.assert_array_equal(translator.head_weights(translation), translation.attention[None])


def test_the_table_of_a_translation_names_its_words_and_sums_up_what_is_long(translator_with):
    translator = translator_with()
    table = str(translator.explain("ab cd ab cd", step=2))
    assert "source: a b ␣ c d" in table and "written so far: " in table and "norm" in table
    assert "and 2 more with a weight of" in table and "the decoder makes of it" in table


@pytest.mark.parametrize(
    "options, arguments, sentence",
    [
        ({}, {"step": 0}, "step is 0, but 'ab' was translated in 6 steps"),
        ({}, {"step": 7}, "step is 7"),
        ({}, {"head": 2}, "head is 2, but the model's heads are 1 to 1"),
        ({"wiring": "none"}, {}, "looks at nothing"),
    ],
)
def test_a_step_that_is_not_there_is_refused(translator_with, options, arguments, sentence):
    with pytest.raises(InputError, match=sentence):
        translator_with(**options).explain("ab", **arguments)


def test_an_ensemble_is_not_explained(translator_with):
    from keras_attn import Ensemble, Translator

    one = translator_with()
    together = Translator(Ensemble([one.model, one.model]), one.source_text, one.target_text)
    with pytest.raises(InputError, match="One model is explained at a time, but these are 2"):
        together.explain("ab cd")
