import functools

import numpy as np
import pytest
from helpers import numbers, random_ids, slow

tf = pytest.importorskip("tensorflow")

from models import VARIANTS, bold_model

from keras_attn import BeamSearch, Ensemble, GreedyDecoder, InputError, Sampling
from keras_attn.decoding import Shortlist
from keras_attn.ids import END, START, UNKNOWN

SOURCES, TARGETS = 20, 15  # ids of `bold_model`
SPECIAL = [0, UNKNOWN, START, END]
SEARCHES = {
    "greedy": (GreedyDecoder, {}),
    "beam": (BeamSearch, {"width": 3, "count": 2, "length_penalty": 1.0}),
    "sampling": (Sampling, {"count": 2, "seed": 1}),
}


@pytest.fixture
def source(rng):
    return np.concatenate([random_ids(rng, SOURCES, [5, 2, 7, 1]), np.zeros((1, 7), "int32")])


@pytest.fixture
def candidates(rng):
    """Two for each source token, and as many that are always possible; none for what no source has."""
    return [[], [], [], *rng.integers(4, TARGETS, (SOURCES - 3, 2)).tolist()]


class Improbable:
    """A model in which no token is possible that is neither special nor on the list of a sentence: what a search over a
    shortlist is to find, without any of its means."""

    def __init__(self, model, candidates):
        self.model = model
        self.table = np.zeros((SOURCES, TARGETS), bool)
        self.table[:, SPECIAL] = True
        for row, ids in zip(self.table, candidates):
            row[ids] = True

    def __getattr__(self, name):
        return getattr(self.model, name)

    def encode(self, source):
        memory, state = self.model.encode(source)
        return (memory, tf.reduce_any(tf.gather(self.table, source), axis=1)), state

    def step(self, tokens, state, memory, *_):
        memory, possible = memory
        logits, state, weights = self.model.step(tokens, state, memory)
        return tf.where(possible, logits, float("-inf")), state, weights


def assert_alike(found, expected):
    np.testing.assert_array_equal(found.tokens, expected.tokens)
    for name in found._fields:
        np.testing.assert_allclose(getattr(found, name), getattr(expected, name), atol=1e-5)


@pytest.mark.parametrize(
    "search, variant", [("beam", "luong"), ("greedy", "luong"), slow("beam", "coverage"), slow("sampling", "luong")]
)
def test_it_finds_what_a_search_would_find_if_all_else_were_impossible(source, candidates, search, variant):
    kind, options = SEARCHES[search]
    model = bold_model(**VARIANTS[variant])
    found = kind(model, max_length=9, shortlist=Shortlist(candidates, TARGETS), **options)(source)
    assert_alike(found, kind(Improbable(model, candidates), max_length=9, **options)(source))
    assert numbers(found.tokens).max() >= 4 and not np.array_equal(
        found.tokens, kind(model, max_length=9, **options)(source).tokens
    )


def test_candidates_of_padding_count_for_nothing(source, candidates):
    model = bold_model()
    of_padding = [[*range(4, TARGETS)], *candidates[1:]]
    found, expected = (
        GreedyDecoder(model, max_length=9, shortlist=Shortlist(each, TARGETS))(source)
        for each in (of_padding, candidates)
    )
    assert_alike(found, expected)


@pytest.mark.parametrize("options", [{"tied_softmax": True}, slow({"dtype": "mixed_bfloat16"})])
def test_a_list_of_all_tokens_changes_nothing(source, options):
    model = bold_model(**options)
    everything = Shortlist([range(4, TARGETS)] * SOURCES, TARGETS)
    found, expected = (BeamSearch(model, width=3, max_length=9, shortlist=each)(source) for each in (everything, None))
    np.testing.assert_array_equal(found.tokens, expected.tokens)
    np.testing.assert_allclose(found.scores, expected.scores, atol=0.05 if "dtype" in options else 1e-5)


def test_a_step_computes_no_logits_but_those_of_the_list(source, candidates):
    model = bold_model()
    step, computed = model.step, []

    def watched(*arguments):
        logits, *rest = step(*arguments)
        computed.append(logits.shape[-1])
        return logits, *rest

    model.step = watched
    tf.config.run_functions_eagerly(True)
    try:
        GreedyDecoder(model, max_length=9, shortlist=Shortlist(candidates, TARGETS))(source[3:4])
    finally:
        tf.config.run_functions_eagerly(False)
    wanted = {*SPECIAL, *candidates[source[3, 0]]}
    assert set(computed) == {len(wanted)}


@pytest.mark.parametrize("average", [None, slow("probabilities"), slow("logarithms")])
def test_batch_mates_and_padding_change_nothing(source, candidates, average):
    model = Ensemble([bold_model(), bold_model(wiring="bahdanau")], average) if average else bold_model()
    search = BeamSearch(model, width=3, max_length=9, shortlist=Shortlist(candidates, TARGETS))
    together = search(source)
    for row in range(len(source)):
        alone = search(source[row : row + 1])
        length = alone.tokens.shape[2]
        np.testing.assert_array_equal(alone.tokens[0], together.tokens[row, :, :length])
        np.testing.assert_allclose(alone.scores[0], together.scores[row], atol=1e-5)


@pytest.mark.parametrize("search", ["beam", slow("greedy"), slow("sampling")])
def test_nothing_to_search_for_is_no_error(candidates, search):
    kind, options = SEARCHES[search]
    find = kind(bold_model(), max_length=9, shortlist=Shortlist(candidates, TARGETS), **options)
    assert find(np.zeros((0, 3), "int32")).tokens.shape[0] == 0
    assert not numbers(find(np.zeros((2, 0), "int32")).tokens).any()


@pytest.mark.slow
def test_an_ensemble_has_one_list_for_all_its_models(source, candidates):
    models = [bold_model(), bold_model(wiring="bahdanau")]
    found = BeamSearch(Ensemble(models), width=3, max_length=9, shortlist=Shortlist(candidates, TARGETS))(source)
    improbable = Ensemble([Improbable(model, candidates) for model in models])
    assert_alike(found, BeamSearch(improbable, width=3, max_length=9)(source))


def test_constraints_name_tokens_by_their_ids(source, candidates):
    """The places of some are those of others, and 14 is nobody's candidate."""
    candidates = [[each for each in ids if each != 14] for ids in candidates]
    search = functools.partial(
        BeamSearch, bold_model(), width=3, max_length=9, shortlist=Shortlist(candidates, TARGETS)
    )
    written = numbers(search()(source).tokens)[:4]
    forbidden = int(np.bincount(written[written >= 4]).argmax())
    prefix = np.array([[14, forbidden]] * len(source), "int32")
    constraints = {"no_repeat_ngram": 2, "min_length": 5, "repetition_penalty": 1.3}
    found = numbers(search(forbidden=(forbidden, UNKNOWN), **constraints)(source, prefix).tokens)[:4, 0]
    np.testing.assert_array_equal(found[:, :2], prefix[:4])
    assert not {forbidden, UNKNOWN, END} & {*found[:, 2:5].flat} and (found[:, 4] != 0).all()


def test_a_list_for_other_vocabularies_is_refused(candidates):
    with pytest.raises(InputError, match="for 20 source ids and 16 target ids, but the model has 20 and 15; learn one"):
        GreedyDecoder(bold_model(), shortlist=Shortlist(candidates, TARGETS + 1))
    with pytest.raises(InputError, match="for 19 source ids and 15 target ids, but the model has 20 and 15"):
        BeamSearch(bold_model(), shortlist=Shortlist(candidates[1:], TARGETS))


def test_ids_out_of_range_are_refused():
    with pytest.raises(InputError, match="source id 1 go from 3 to 9, but target ids go from 0 to 7"):
        Shortlist([[], [3, 9]], target_vocabulary_size=8)
