import itertools

import numpy as np
import pytest
from helpers import numbers, random_ids, slow

tf = pytest.importorskip("tensorflow")

from models import VARIANTS, bold_model

from keras_attn import AttentionSeq2Seq, GreedyDecoder, InputError
from keras_attn.decoding import BeamSearch
from keras_attn.ids import END, START, UNKNOWN

LENGTHS = [5, 2, 7, 1]


@pytest.fixture
def source(rng):
    return random_ids(rng, 20, LENGTHS)


def by_teacher_forcing(model, source, targets):
    """The log-probabilities of each target's tokens, and where the model looked: a pair for each target."""
    inputs = np.zeros((len(targets), max(map(len, targets))), "int32")
    for row, tokens in zip(inputs, targets):
        row[: len(tokens)] = [START, *tokens[:-1]]
    inputs = {"source": np.tile(source, (len(targets), 1)), "target": inputs}
    logits, weights = numbers(model(inputs)).astype("float64"), numbers(model.attend(inputs))
    log_probabilities = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    return [
        (gains[np.arange(len(tokens)), tokens], rows[: len(tokens)])
        for gains, rows, tokens in zip(log_probabilities, weights, targets)
    ]


def penalty(length, length_penalty):
    return length if length_penalty == "average" else ((5 + length) / 6) ** length_penalty


def score_of(gains, weights, length_penalty, coverage_penalty):
    covered = np.log(np.minimum(weights.sum(0), 1)).sum()
    return gains.sum() / penalty(len(gains), length_penalty) + coverage_penalty * covered


@pytest.mark.parametrize("variant", ["luong", slow("gnmt"), slow("coverage")])
def test_a_beam_of_one_is_greedy_token_for_token(source, variant):
    model = bold_model(**VARIANTS[variant])
    greedy = GreedyDecoder(model, max_length=12)(source)
    beam = BeamSearch(model, width=1, length_penalty=1.0, max_length=12)(source)
    np.testing.assert_array_equal(beam.tokens, greedy.tokens)
    for name in ("log_probabilities", "attention_weights", "token_log_probabilities"):
        np.testing.assert_allclose(getattr(beam, name), getattr(greedy, name), atol=1e-5)


@pytest.mark.parametrize(
    "length_penalty, coverage_penalty", [(1.0, 0.3), slow(0.0, 0.0), slow(1.5, 0.0), slow("average", 0.0)]
)
def test_a_beam_that_is_wide_enough_finds_the_best_of_all_targets(length_penalty, coverage_penalty):
    model = AttentionSeq2Seq(20, 6, units=8)
    model.build()
    model.set_weights([weight * 3 for weight in model.get_weights()])
    source = np.array([7, 5, 11], "int32")
    words, limit = (UNKNOWN, 4, 5), 4
    targets = [
        *((*beginning, END) for length in range(limit) for beginning in itertools.product(words, repeat=length)),
        *itertools.product(words, repeat=limit),
    ]
    known = by_teacher_forcing(model, source, targets)
    scores = [score_of(*gains_and_weights, length_penalty, coverage_penalty) for gains_and_weights in known]
    best = np.argsort(scores)[::-1][:5]
    penalties = {"length_penalty": length_penalty, "coverage_penalty": coverage_penalty}
    found = BeamSearch(model, width=200, count=5, max_length=limit, **penalties)(source[None])
    np.testing.assert_allclose(found.scores[0], np.array(scores)[best], rtol=1e-4)
    for tokens, index in zip(found.tokens.numpy()[0], best):
        assert tuple(np.trim_zeros(tokens, "b")) == targets[index]


def test_every_hypothesis_has_the_probabilities_and_weights_of_its_own_tokens(source):
    model = bold_model()
    found = BeamSearch(model, width=4, count=3, length_penalty=0.6, max_length=10)(source)
    assert (np.diff(found.scores) <= 0).all()
    for row, length in enumerate(LENGTHS):
        hypotheses = [tuple(np.trim_zeros(tokens, "b")) for tokens in found.tokens.numpy()[row]]
        assert len(set(hypotheses)) == 3
        forced = by_teacher_forcing(model, source[row, :length], hypotheses)
        for place, (tokens, (gains, weights)) in enumerate(zip(hypotheses, forced)):
            where = (row, place, slice(len(tokens)))
            np.testing.assert_allclose(found.token_log_probabilities[where], gains, atol=1e-4)
            np.testing.assert_allclose(found.attention_weights[where][:, :length], weights, atol=1e-5)
            np.testing.assert_allclose(found.log_probabilities[row, place], gains.sum(), rtol=1e-4)
            expected = score_of(gains, weights, 0.6, 0)
            np.testing.assert_allclose(found.scores[row, place], expected, rtol=1e-4)


@pytest.mark.parametrize("variant", ["coverage", slow("luong"), slow("monotonic")])
def test_batch_mates_and_padding_change_nothing(source, variant):
    search = BeamSearch(bold_model(**VARIANTS[variant]), width=3, count=2, coverage_penalty=0.2, max_length=10)
    together = search(source)
    for row, length in enumerate(LENGTHS):
        alone = search(source[row : row + 1, :length])
        for place in range(2):
            found, expected = (np.trim_zeros(h.tokens.numpy()[i, place], "b") for h, i in ((together, row), (alone, 0)))
            np.testing.assert_array_equal(found, expected)
        np.testing.assert_allclose(together.scores[row], alone.scores[0], rtol=1e-4)


@pytest.mark.slow
def test_stopping_early_loses_nothing(source):
    class Patient(BeamSearch):
        def _bound(self, time, kept, length_penalty):
            return tf.where(tf.reduce_any(kept.beam.total > float("-inf"), axis=1), 0.0, float("-inf"))

    options = {"width": 4, "count": 2, "length_penalty": 1.0, "max_length": 12, "lookahead": None}
    model = bold_model()
    hurried, patient = (kind(model, **options)(source) for kind in (BeamSearch, Patient))
    longest = hurried.tokens.shape[2]
    np.testing.assert_array_equal(hurried.tokens, patient.tokens[:, :, :longest])
    np.testing.assert_allclose(hurried.scores, patient.scores, rtol=1e-5)


class Verbose:
    """Ends at once with a probability of 0.6, if the source begins with 7; otherwise says the same for eight tokens and then
    ends."""

    def encode(self, source):
        return source, tf.zeros_like(source[:, 0])

    def step(self, tokens, state, memory):
        ends = tf.where(memory[:, :1] == 7, 0.6, 0.0)
        at_first = tf.one_hot(4, 6) * (1 - ends) + tf.one_hot(END, 6) * ends
        later = tf.one_hot(tf.where(state < 8, 4, END), 6)
        probabilities = tf.where(state[:, None] == 0, at_first, later)
        return tf.math.log(probabilities + 1e-30), state + 1, tf.zeros_like(memory, tf.float32)


@pytest.mark.parametrize("lookahead, length", [(4, 1), (5, 9), (None, 9)])
def test_a_sentence_is_done_when_nothing_can_be_better_within_the_lookahead(lookahead, length):
    """One token scores log 0.6 / 1 = -0.51, and nine log 0.4 / (14 / 6) = -0.39. When the one has ended, the other could have
    log 0.4 / (10 / 6) = -0.55 with four tokens more, and log 0.4 / (11 / 6) = -0.50 with five."""
    search = BeamSearch(Verbose(), width=2, length_penalty=1.0, lookahead=lookahead)
    found = search(np.array([[7, 5]], "int32"))
    assert np.count_nonzero(found.tokens[0, 0]) == length


def test_a_sentence_that_is_done_is_not_taken_up_again_while_others_last():
    found = BeamSearch(Verbose(), width=2, length_penalty=1.0, lookahead=4)(np.array([[7, 5], [6, 5], [6, 5]], "int32"))
    assert np.count_nonzero(found.tokens, axis=2)[:, 0].tolist() == [1, 9, 9]


@pytest.mark.slow
def test_a_wider_beam_scores_no_worse_than_greedy_here(source):
    model = bold_model()
    greedy, wide = (BeamSearch(model, width=width, max_length=10)(source) for width in (1, 8))
    assert (wide.scores.numpy() >= greedy.scores.numpy() - 1e-5).all() and (wide.scores > greedy.scores).numpy().any()


def test_prefixes_of_another_number_are_refused(source):
    with pytest.raises(InputError, match=f"There are {len(source)} sources and 1 prefixes"):
        BeamSearch(bold_model(), width=2)(source, [[4]])


@pytest.mark.parametrize("shape", [(0, 3), slow((0, 0)), slow((2, 0))])
def test_a_batch_of_nothing_gives_nothing(shape):
    found = BeamSearch(bold_model(), width=3)(np.zeros(shape, "int32"))
    assert found.tokens.shape[0] == shape[0] and not found.tokens.numpy().any()
    assert not found.scores.numpy().any()


def test_an_empty_source_has_an_empty_target(source):
    source[1] = 0
    source[1, 0] = END
    found = BeamSearch(bold_model(), width=3, max_length=8)(source)
    assert not found.tokens.numpy()[1].any() and found.scores.numpy()[1] == 0


@pytest.mark.parametrize(
    "options, sentence",
    [
        ({"width": 0}, "width is 0"),
        ({"width": 2, "count": 3}, "count is 3, but a beam of width 2"),
        ({"length_penalty": -1}, "length_penalty is -1"),
        ({"length_penalty": "mean"}, "length_penalty is 'mean', but it must be 0 or more, or 'average'"),
        ({"coverage_penalty": -0.1}, "coverage_penalty is -0.1"),
        ({"lookahead": 0}, "lookahead is 0, but it must be 1 or more"),
        ({"width": 2.5}, "width is 2.5, but it must be a whole number"),
        ({"max_length": "8"}, "max_length is '8', but it must be a whole number"),
        ({"max_length": 0}, "max_length is 0"),
        ({"min_length": 4, "max_length": 3}, "min_length is 4, but max_length 3"),
    ],
)
def test_a_number_out_of_its_range_is_refused(options, sentence):
    with pytest.raises(InputError, match=sentence):
        BeamSearch(bold_model(), **options)
