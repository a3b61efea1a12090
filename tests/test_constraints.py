import numpy as np
import pytest
from helpers import random_ids, slow, softmax

tf = pytest.importorskip("tensorflow")

from models import LoadedDie, bold_model

from keras_attn import BeamSearch, InputError, Sampling
from keras_attn.decoding.constraints import Constraints
from keras_attn.ids import END

NOTHING_ASKED = np.zeros((1, 0), "int32")
SEARCHES = {"beam": (BeamSearch, {"width": 4, "count": 2}), "sampling": (Sampling, {"count": 3})}


@pytest.fixture(params=SEARCHES)
def search(request):
    kind, options = SEARCHES[request.param]
    return lambda model, **constraints: kind(model, max_length=9, **options, **constraints)


@pytest.fixture
def source(rng):
    return random_ids(rng, 20, [5, 2, 7])


def targets(hypotheses):
    return [np.trim_zeros(tokens, "b").tolist() for row in hypotheses.tokens.numpy() for tokens in row]


def allowed(constraints, written, time, prefix=NOTHING_ASKED):
    """The ids that may come next, of eight."""
    written = np.array([[written]], "int32")
    found = constraints.allowed(tf.zeros([1, 1, 8]), written, time, prefix)
    return np.flatnonzero(np.isfinite(found.numpy()[0, 0])).tolist()


def test_padding_and_start_are_never_written():
    assert allowed(Constraints(), [5, 0, 0], 1) == [1, 3, 4, 5, 6, 7]


def test_the_end_waits_for_the_least_length():
    assert END not in allowed(Constraints(min_length=2), [5, 0, 0], 1)
    assert END in allowed(Constraints(min_length=2), [5, 5, 0], 2)


def test_forbidden_tokens_are_left_out():
    assert allowed(Constraints(forbidden=[1, 6]), [5, 0, 0], 1) == [3, 4, 5, 7]


@pytest.mark.parametrize(
    "size, written, time, left_out",
    [
        (1, [5, 6, 0, 0], 2, {5, 6}),
        (2, [5, 6, 5, 0], 3, {6}),
        (2, [5, 6, 7, 0], 3, set()),
        (2, [5, 5, 0, 0], 2, {5}),
        (3, [4, 5, 6, 4, 5, 0], 5, {6}),
        (3, [4, 0, 0, 0, 0, 0], 1, set()),
    ],
)
def test_no_group_of_tokens_is_written_twice(size, written, time, left_out):
    assert (
        set(allowed(Constraints(), written, time)) - set(allowed(Constraints(no_repeat_ngram=size), written, time))
        == left_out
    )


def test_a_prefix_is_written_first_and_then_all_is_free():
    constraints, prefix = Constraints(forbidden=[7]), np.array([[7, 4, 0]], "int32")
    assert [len(allowed(constraints, [7, 4, 0, 0], time, prefix)) for time in range(4)] == [1, 1, 5, 5]
    assert allowed(constraints, [7, 0, 0, 0], 1, prefix) == [4]


def test_the_repetition_penalty_multiplies_log_probabilities_whatever_is_added_to_all_logits():
    logits = np.array([[[1, 1, 1, 1, 2, -2, 2, -2]]], "float32")
    factors = np.array([1, 1, 1, 1, 2, 2, 1, 1])
    for added in (0, 100):
        found = Constraints(repetition_penalty=2.0).penalized(logits + added, np.array([[[4, 5, 4, 0]]], "int32"))
        np.testing.assert_allclose(found, factors * np.log(softmax(logits)), rtol=1e-4)
    np.testing.assert_array_equal(Constraints().penalized(logits, np.array([[[4, 5]]], "int32")), logits)


def test_what_is_forbidden_may_come_one_by_one():
    assert Constraints(forbidden=(id for id in (4, 5))).forbidden == (4, 5)


def test_every_search_obeys_all_of_them(search, source):
    found = targets(search(bold_model(), min_length=3, forbidden=[5, 6], no_repeat_ngram=2)(source))
    assert all(found)
    for tokens in found:
        words = [token for token in tokens if token != END]
        pairs = list(zip(words, words[1:]))
        assert len(words) >= 3 and not {5, 6} & set(words) and len(pairs) == len(set(pairs))


def test_every_search_begins_with_its_own_prefix(search, source):
    prefix = np.array([[9, 8, 7], [4, 0, 0], [0, 0, 0]], "int32")
    found = search(bold_model())(source, prefix)
    for row, asked in enumerate(([9, 8, 7], [4], [])):
        for tokens in found.tokens.numpy()[row]:
            assert tokens[: len(asked)].tolist() == asked


@pytest.mark.parametrize(
    "constraints, prefix",
    [
        ({}, NOTHING_ASKED),
        ({"min_length": 6}, NOTHING_ASKED),
        slow({"forbidden": [7, 10, 12, 14]}, NOTHING_ASKED),
        slow({"no_repeat_ngram": 1}, NOTHING_ASKED),
        ({}, np.array([[9, 8, 7], [4, 0, 0], [0, 0, 0]], "int32")),
    ],
)
def test_a_beam_finds_the_same_if_it_takes_away_only_what_it_would_choose(source, monkeypatch, constraints, prefix):
    model = bold_model()
    bias = model.decoder.logits.bias.numpy()
    bias[:END] = -50  # or special tokens would be chosen, and taken away, at every step
    bias[END] = 1
    model.decoder.logits.bias.assign(bias)
    find = lambda **constraints: targets(
        BeamSearch(model, width=3, count=3, max_length=9, **constraints)(source, prefix if prefix.size else None)
    )
    found = find(**constraints)
    free = targets(BeamSearch(model, width=3, count=3, max_length=9)(source))
    assert (found == free) == (not constraints and not prefix.size)
    monkeypatch.setattr(Constraints, "hold", lambda *_: tf.constant(False))
    assert found == find(**constraints)


def test_a_repetition_penalty_makes_repetition_rarer():
    repeats = lambda penalty: sum(
        len(tokens) - len(set(tokens))
        for tokens in targets(
            Sampling(LoadedDie(), count=200, max_length=4, repetition_penalty=penalty)(np.array([[7, 7]], "int32"))
        )
    )
    assert repeats(3.0) < 0.5 * repeats(1.0)


@pytest.mark.slow
def test_where_nothing_is_left_to_write_the_target_is_empty(source):
    model = bold_model()
    search = BeamSearch(model, width=2, min_length=1, forbidden=[id for id in range(15) if id != END])
    found = search(source)
    assert not found.tokens.numpy().any() and not found.scores.numpy().any()


@pytest.mark.parametrize("token", [-1, 15])
def test_an_id_of_no_token_is_refused(source, token):
    with pytest.raises(InputError, match=f"prefix holds {token}, but the target has the ids 0 to 14"):
        BeamSearch(bold_model())(source, np.full([3, 1], token))
    with pytest.raises(InputError, match=f"forbidden holds {token}, but"):
        BeamSearch(bold_model(), forbidden=[token])


@pytest.mark.parametrize(
    "options, sentence",
    [
        ({"min_length": -1}, "min_length is -1"),
        ({"no_repeat_ngram": -1}, "no_repeat_ngram is -1"),
        ({"repetition_penalty": 0}, "repetition_penalty is 0"),
        ({"forbidden": [END]}, "forbidden holds 3, the end token"),
        ({"forbidden": [5, -1]}, "forbidden holds -1, but ids are whole numbers, 0 or more"),
        ({"forbidden": [5.5]}, "forbidden holds 5.5"),
    ],
)
def test_a_number_out_of_its_range_is_refused(options, sentence):
    with pytest.raises(InputError, match=sentence):
        Constraints(**options)
