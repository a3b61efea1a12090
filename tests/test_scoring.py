import itertools
from types import SimpleNamespace

import numpy as np
import pytest

from keras_attn import InputError
from keras_attn.scoring import Candidate, read_n_best, rescore


@pytest.mark.parametrize(
    "line, candidate",
    [
        ("0 ||| a b ||| -1.5", (0, "a b", -1.5)),
        ("12 ||| a ||| LM0= -3 Distortion0= -1 ||| -2", (12, "a", -2)),
        ("3 ||| a ||| -1 2e-3 ||| ||| 1e-3 ", (3, "a", 0.001)),
        ("0 |||  ||| 0", (0, "", 0)),
        ("0|||a|||1", (0, "a", 1)),
    ],
)
def test_a_line_of_an_n_best_list_is_read_as_moses_writes_it(line, candidate):
    assert list(read_n_best([line])) == [Candidate(*candidate)]


@pytest.mark.parametrize(
    "line",
    ["", "a", "0 ||| a", "0 ||| 1", "a ||| b ||| 1", "0 ||| a ||| b", "0 ||| a ||| 1 |||", "0 ||| a ||| b ||| 1"],
)
def test_what_is_no_candidate_is_refused_by_its_line(line):
    lines = read_n_best(["0 ||| a ||| 1", line], "list.txt")
    assert next(lines).text == "a"
    with pytest.raises(InputError) as refused:
        next(lines)
    assert str(refused.value) == f"list.txt, line 2 is not INDEX ||| TEXT ||| SCORE, but {line!r}."


class Judge:
    """A translator to whom a target is worth what a table says, and which reads two pairs at a time."""

    def __init__(self, worth):
        self.worth = worth
        self.read = []

    def stream_scores(self, pairs):
        pairs = iter(pairs)
        while window := list(itertools.islice(pairs, 2)):
            self.read += window
            yield from (SimpleNamespace(log_probability=self.worth[pair]) for pair in window)


SOURCES = ["ein Haus", "eine Maus"]
CANDIDATES = [
    Candidate(0, "house", -1.0),
    Candidate(0, "a house", -2.0),
    Candidate(0, "home", -3.0),
    Candidate(1, "a mouse", -2.0),
    Candidate(1, "mice", -4.0),
]
WORTH = {
    ("ein Haus", "house"): -8.0,
    ("ein Haus", "a house"): -2.0,
    ("ein Haus", "home"): -4.0,
    ("eine Maus", "a mouse"): -3.0,
    ("eine Maus", "mice"): -0.5,
}


@pytest.mark.parametrize(
    "weight, first, second",
    [
        (1, [("a house", -2), ("home", -4), ("house", -8)], [("mice", -0.5), ("a mouse", -3)]),
        (0.5, [("a house", -2), ("home", -3.5), ("house", -4.5)], [("mice", -2.25), ("a mouse", -2.5)]),
        (0.25, [("a house", -2), ("house", -2.75), ("home", -3.25)], [("a mouse", -2.25), ("mice", -3.125)]),
        (0, [("house", -1), ("a house", -2), ("home", -3)], [("a mouse", -2), ("mice", -4)]),
    ],
)
def test_the_weighted_sum_of_both_scores_decides_the_order(weight, first, second):
    lists = list(rescore(Judge(WORTH), SOURCES, CANDIDATES, weight))
    assert lists == [[Candidate(0, *each) for each in first], [Candidate(1, *each) for each in second]]


def test_candidates_of_one_score_keep_their_order():
    candidates = [Candidate(0, text, -1.0) for text in "cab"]
    judge = Judge({("x", text): -1.0 for text in "abc"})
    assert list(rescore(judge, ["x"], candidates)) == [candidates]


def test_a_source_without_candidates_has_no_list():
    (only,) = rescore(Judge(WORTH), SOURCES, CANDIDATES[3:])
    assert {candidate.source for candidate in only} == {1}
    assert list(rescore(Judge(WORTH), SOURCES, [])) == []


def test_no_more_is_read_than_the_next_list_needs():
    """Two pairs at a time, so one beyond the three of the first source; and a second window is not begun."""
    judge = Judge(WORTH)
    lists = rescore(judge, SOURCES, iter(CANDIDATES))
    next(lists)
    assert len(judge.read) == 4
    next(lists)
    assert len(judge.read) == 5


def test_lists_of_any_number_of_sources_come_out_one_by_one():
    """Ten thousand sources of three candidates each, of which no more than a window is ever waiting."""
    read = 0

    def candidates():
        nonlocal read
        for read in range(30_000):
            yield Candidate(read // 3, str(read % 3), 0.0)

    class Worth:
        def __getitem__(self, pair):
            return -float(pair[1])

    sources = [str(number) for number in range(10_000)]
    for number, found in enumerate(rescore(Judge(Worth()), sources, candidates())):
        assert found == [Candidate(number, str(place), -place) for place in range(3)]
        assert read - 3 * number <= 6
    assert number == 9_999


@pytest.mark.parametrize("weight", [-0.1, 1.1, np.nan])
def test_a_weight_out_of_its_range_is_refused(weight):
    with pytest.raises(InputError, match=f"weight is {weight}, but it must be from 0 to 1"):
        next(rescore(Judge(WORTH), SOURCES, CANDIDATES, weight))


@pytest.mark.parametrize("source", [2, -1])
def test_a_candidate_of_no_source_is_refused(source):
    with pytest.raises(InputError, match=f"for source {source}, but there are 2, counted from 0"):
        list(rescore(Judge(WORTH), SOURCES, [*CANDIDATES, Candidate(source, "x", 0.0)]))


def test_the_new_score_is_that_of_teacher_forcing():
    pytest.importorskip("tensorflow_text")
    from models import untrained_translator

    translator = untrained_translator()
    sources, targets = ["ab", "ab", "cd dcba"], ["cd", "", "a b c"]
    candidates = [Candidate(index, text, 0.0) for index, text in zip((0, 0, 1), targets)]
    found = {each.text: each.score for each in itertools.chain(*rescore(translator, ["ab", "cd dcba"], candidates))}
    for source, target in zip(sources, targets):
        given = [[2, *(translator.target_text.tokens.index(letter) for letter in target)]]
        asked = [*given[0][1:], 3]
        read = [[translator.source_text.tokens.index(letter) for letter in source] + [3]]
        logits = np.array(translator.model({"source": np.array(read), "target": np.array(given)}))[0]
        gains = logits - np.log(np.exp(logits).sum(1, keepdims=True))
        assert found[target] == pytest.approx(gains[np.arange(len(asked)), asked].sum(), rel=1e-4)
