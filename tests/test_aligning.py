import itertools
from types import SimpleNamespace

import numpy as np
import pytest

from keras_attn import InputError
from keras_attn.aligning import (
    METHODS,
    agreement,
    align,
    from_pharaoh,
    hard_alignment,
    merge,
    symmetrize,
    to_pharaoh,
    word_of_token,
    words_of,
)


def as_published(forward, backward, final, length):
    """Koehn et al. 2005 line by line, on boolean grids: English (the target) outside, foreign (the source) inside."""
    e2f, f2e, alignment = (np.zeros((length, length), bool) for _ in range(3))
    for grid, links in ((e2f, forward), (f2e, backward)):
        for source, target in links:
            grid[target, source] = True
    alignment[:] = e2f & f2e
    grows = True
    while grows:
        grows = False
        for e in range(length):
            for f in range(length):
                if not alignment[e, f]:
                    continue
                for de, df in ((-1, 0), (0, -1), (1, 0), (0, 1), (-1, -1), (-1, 1), (1, -1), (1, 1)):
                    if not (0 <= e + de < length and 0 <= f + df < length and (e2f | f2e)[e + de, f + df]):
                        continue
                    if not alignment[e + de].any() or not alignment[:, f + df].any():
                        alignment[e + de, f + df] = grows = True
    for a in (e2f, f2e) if final else ():
        for e in range(length):
            for f in range(length):
                e_free, f_free = not alignment[e].any(), not alignment[:, f].any()
                if a[e, f] and ((e_free and f_free) if final == "and" else (e_free or f_free)):
                    alignment[e, f] = True
    return sorted((int(source), int(target)) for target, source in np.argwhere(alignment))


def random_links(rng, length):
    return {tuple(link) for link in rng.integers(0, length, (rng.integers(0, 2 * length), 2)).tolist()}


def test_each_target_token_is_linked_to_where_its_weight_is_largest():
    attention = [[0.1, 0.7, 0.2], [0.6, 0.3, 0.1], [0.0, 0.2, 0.8]]
    assert hard_alignment(attention) == [(0, 1), (1, 0), (2, 2)]


def test_of_equal_weights_the_leftmost_counts_and_a_row_of_zeros_gives_no_link():
    assert hard_alignment(np.array([[0.2, 0.4, 0.4], [0, 0, 0], [0.5, 0.5, 0]])) == [(0, 2), (1, 0)]


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (0, 0)])
def test_without_tokens_there_is_no_link(shape):
    assert hard_alignment(np.zeros(shape)) == []


def test_attention_of_a_batch_is_refused_with_its_shape():
    with pytest.raises(InputError, match=r"\(2, 3, 4\).*one sentence"):
        hard_alignment(np.ones((2, 3, 4)))


def test_every_method_takes_one_link_more_than_the_one_before():
    """1-1 lies beside the common 0-0. 3-3 joins two words without a link, 4-0 only one. 1-3 joins two that have one."""
    forward, backward = [(0, 0), (1, 1), (3, 3)], [(0, 0), (4, 0), (1, 3)]
    assert symmetrize(forward, backward, "intersection") == [(0, 0)]
    assert symmetrize(forward, backward, "grow-diag") == [(0, 0), (1, 1)]
    assert symmetrize(forward, backward, "grow-diag-final-and") == [(0, 0), (1, 1), (3, 3)]
    assert symmetrize(forward, backward, "grow-diag-final") == [(0, 0), (1, 1), (3, 3), (4, 0)]
    assert symmetrize(forward, backward, "union") == [(0, 0), (1, 1), (1, 3), (3, 3), (4, 0)]


def test_growing_goes_on_from_what_it_added_and_stops_at_a_gap():
    """From 2-2 to both corners and on to 5-4 beside 4-4, while 6-6 touches nothing."""
    chain = {(0, 0), (1, 1), (3, 3), (4, 4), (5, 4)}
    assert symmetrize({(2, 2), (6, 6)} | chain, {(2, 2)}, "grow-diag") == sorted({(2, 2)} | chain)


def test_the_forward_model_goes_first():
    """Source word 0 and target words 0 and 1 are free: whoever takes word 0 first leaves none to the other."""
    assert symmetrize({(0, 0)}, {(0, 1)}, "grow-diag-final-and") == [(0, 0)]
    assert symmetrize({(0, 1)}, {(0, 0)}, "grow-diag-final-and") == [(0, 1)]


@pytest.mark.parametrize(
    "method, final", [("grow-diag", None), ("grow-diag-final", "or"), ("grow-diag-final-and", "and")]
)
def test_growing_equals_the_published_pseudocode(rng, method, final):
    for _ in range(300):
        length = int(rng.integers(1, 8))
        common = random_links(rng, length)
        forward, backward = (random_links(rng, length) | set(list(common)[: length // 2]) for _ in range(2))
        assert symmetrize(forward, backward, method) == as_published(forward, backward, final, length)


def test_growing_equals_the_published_pseudocode_on_two_hard_alignments(rng):
    for _ in range(100):
        attention = rng.dirichlet(np.full(6, 0.2), size=6)
        forward = hard_alignment(attention)
        turned = hard_alignment((attention + rng.random((6, 6)) / 4).T)
        backward = [(source, target) for target, source in turned]
        assert symmetrize(forward, backward) == as_published(forward, backward, "and", 6)


@pytest.mark.parametrize("method", METHODS)
def test_every_method_lies_between_the_intersection_and_the_union(rng, method):
    forward, backward = random_links(rng, 9), random_links(rng, 9)
    links = symmetrize(forward, backward, method)
    assert forward & backward <= set(links) <= forward | backward
    assert symmetrize(forward, forward, method) == sorted(forward)
    assert symmetrize([], [], method) == []


def test_an_unknown_method_is_refused_with_the_known_ones():
    with pytest.raises(InputError, match="'grow', but only .*'union'.*'grow-diag-final-and'"):
        symmetrize([], [], "grow")


def test_two_models_agree_as_far_as_the_product_of_their_weights():
    forward = np.array([[1.0, 0.0, 0.0], [0.0, 0.64, 0.36]])
    backward = np.array([[1.0, 0.0], [0.75, 0.25], [0.0, 1.0]])
    np.testing.assert_allclose(agreement(forward, backward), [[1, 0, 0], [0, 0.4, 0.6]])


def test_the_links_that_two_models_agree_on_are_found_from_their_product(rng):
    forward, backward = rng.dirichlet(np.ones(5), size=4), rng.dirichlet(np.ones(4), size=5)
    product = [[forward[t, s] * backward[s, t] for s in range(5)] for t in range(4)]
    assert hard_alignment(agreement(forward, backward)) == hard_alignment(product)


def test_shapes_that_do_not_fit_are_refused_with_both():
    with pytest.raises(InputError, match=r"\(2, 3\).*\(2, 3\).*\(3, 2\)"):
        agreement(np.ones((2, 3)), np.ones((2, 3)))


def test_pharaoh_is_source_hyphen_target_sorted():
    assert to_pharaoh([(1, 2), (0, 10), (0, 9)]) == "0-9 0-10 1-2"
    assert to_pharaoh([]) == ""


def test_pharaoh_is_read_in_any_order():
    assert from_pharaoh("1-2 0-10  0-9 1-2\n") == [(0, 9), (0, 10), (1, 2)]
    assert from_pharaoh("\n") == []


def test_what_was_written_is_read_again(rng):
    links = sorted(random_links(rng, 30))
    assert from_pharaoh(to_pharaoh(links)) == links


@pytest.mark.parametrize("item", ["1", "1-", "-1-2", "1-2-3", "a-b", "1?2", "1-2:0.5", "1.0-2"])
def test_what_is_no_link_is_named(item):
    with pytest.raises(InputError) as refused:
        from_pharaoh(f"0-0 {item} 2-2")
    assert repr(item) in str(refused.value) and "source-target" in str(refused.value)


@pytest.mark.parametrize(
    "unit, tokens, numbers",
    [
        ("words", ["Hello", ",", "[UNK]"], [0, 1, 2]),
        ("subwords", ["▁The", "▁c", "at", "▁", "[UNK]", "s", "."], [0, 1, 1, 2, 2, 2, 2]),
        ("subwords", ["he", "▁sat"], [0, 1]),
        ("subwords", ["▁", "한", "국", "▁", "▁", "▁어"], [0, 0, 0, 1, 1, 1]),
        ("subwords", ["▁a", "▁", "▁"], [0, None, None]),
        ("subwords", ["▁"], [None]),
        ("characters", ["a", "b", " ", "[UNK]", "c", " ", " ", "d"], [0, 0, None, 1, 1, None, None, 2]),
        ("characters", [" ", "a", " "], [None, 0, None]),
        ("words", [], []),
        ("subwords", [], []),
        ("characters", [], []),
    ],
)
def test_tokens_belong_to_words(unit, tokens, numbers):
    assert word_of_token(tokens, unit) == numbers


@pytest.mark.parametrize(
    "unit, space, alphabet", [("subwords", "▁", ["▁", "▁a", "b", "▁cd"]), ("characters", " ", " ab")]
)
def test_the_words_are_those_between_the_spaces_of_the_text(rng, unit, space, alphabet):
    for _ in range(200):
        tokens = [alphabet[index] for index in rng.integers(0, len(alphabet), rng.integers(0, 9))]
        words = words_of(tokens, word_of_token(tokens, unit))
        assert words == "".join(tokens).replace(space, " ").split()


def test_a_sign_that_looks_like_sentencepieces_space_is_kept_as_a_word():
    assert words_of(["▁", "▂"], [0, 1]) == ["▁", "▂"]


def test_an_unknown_unit_is_refused_with_the_known_ones():
    with pytest.raises(InputError, match="'bytes', but only 'words', 'characters' and 'subwords'"):
        word_of_token(["a"], "bytes")


def test_weights_of_a_source_word_are_added_up_and_rows_of_a_target_word_averaged():
    attention = [[0.1, 0.2, 0.7], [0.3, 0.4, 0.3], [0.0, 1.0, 0.0]]
    merged = merge(attention, source_words=[0, 0, 1], target_words=[0, 1, 1])
    np.testing.assert_allclose(merged, [[0.3, 0.7], [0.85, 0.15]])


def test_tokens_of_no_word_are_left_out():
    attention = [[0.5, 0.2, 0.3], [0.0, 1.0, 0.0], [0.1, 0.1, 0.8]]
    merged = merge(attention, source_words=[0, None, 1], target_words=[0, None, 0])
    np.testing.assert_allclose(merged, [[0.3, 0.55]])


def test_rows_still_add_up_to_what_they_did(rng):
    source, target = ["▁a", "b", "▁", "c", "▁d"], ["▁x", "y", "z", "▁w"]
    merged = merge(
        rng.dirichlet(np.ones(5), size=4), word_of_token(source, "subwords"), word_of_token(target, "subwords")
    )
    assert merged.shape == (2, 3)
    np.testing.assert_allclose(merged.sum(1), 1)


def test_words_are_merged_where_there_is_none():
    assert merge(np.zeros((0, 2)), [0, 0], []).shape == (0, 1)
    assert merge(np.zeros((1, 0)), [], [0]).shape == (1, 0)
    assert merge([[1.0]], [None], [None]).shape == (0, 0)


def test_a_word_without_tokens_gets_weights_of_zero():
    np.testing.assert_array_equal(merge([[1.0]], [0], [1]), [[0], [1]])


def test_words_for_other_tokens_are_refused_with_the_shape():
    with pytest.raises(InputError, match=r"\(2, 3\).*2 target tokens and 2 source tokens"):
        merge(np.ones((2, 3)), [0, 0], [0, 1])


class Scripted:
    """A translator that cuts texts as it is told, and looks where a function of two tokens is large."""

    def __init__(self, cut, look, source_unit="words", target_unit=None):
        self.cut, self.look = cut, look
        self.source_text = SimpleNamespace(unit=source_unit)
        self.target_text = SimpleNamespace(unit=target_unit or source_unit)
        self.read = 0

    def stream_scores(self, pairs):
        for source, target in pairs:
            self.read += 1
            source, target = self.cut(source), self.cut(target)
            weights = [[self.look(one, other) for one in source] for other in target]
            # What is left of a row goes to the end token, which is no word.
            attention = np.array([[*row, 1 - sum(row)] for row in weights]).reshape(len(target), len(source) + 1)
            yield SimpleNamespace(source_tokens=[*source, "[END]"], tokens=target, attention=attention)


def words_alike(one, other):
    """A tenth for each letter that two words have in common."""
    return len(set(one) & set(other)) / 10


PAIRS = [("ab cd", "dc ba"), ("", "x"), ("x", ""), ("abc d e", "e bac")]


def test_pairs_are_aligned_in_their_order():
    found = list(align(Scripted(str.split, words_alike), PAIRS))
    assert [each.pharaoh for each in found] == ["0-1 1-0", "", "", "0-1 2-0"]
    assert (found[0].source, found[0].target) == (["ab", "cd"], ["dc", "ba"])
    assert found[0].links == [(0, 1), (1, 0)]
    np.testing.assert_allclose(found[0].weights, [[0, 0.2], [0.2, 0]])
    assert found[1].weights.shape == (1, 0) and found[2].weights.shape == (0, 1)


def pieces(text):
    """Each word in two pieces, as SentencePiece writes them."""
    return [piece for word in text.split() for piece in ("▁" + word[:1], word[1:])]


def test_pieces_are_aligned_as_the_words_that_they_make_up():
    translator = Scripted(pieces, words_alike, "subwords")
    (found,) = align(translator, [("ab cd", "dc ba")])
    assert (found.source, found.target) == (["ab", "cd"], ["dc", "ba"])
    assert found.pharaoh == "0-1 1-0"
    # Of the row of ▁d: ▁a, b, ▁c, d have 0.1 (the ▁), 0, 0.1 (the ▁), 0.1; of that of c: 0, 0, 0.1, 0.
    np.testing.assert_allclose(found.weights[0], [(0.1 + 0) / 2, (0.2 + 0.1) / 2])
    (found,) = align(translator, [("ab cd", "dc ba")], level="tokens")
    assert found.source == ["▁a", "b", "▁c", "d"] and found.weights.shape == (4, 4)


def test_characters_are_aligned_as_such_unless_words_are_asked_for():
    translator = Scripted(list, words_alike, "characters")
    (found,) = align(translator, [("a bc", "cb a")])
    assert (found.source, found.target) == (list("a bc"), list("cb a"))
    assert found.pharaoh == "0-3 1-2 2-1 3-0"
    (found,) = align(translator, [("a bc", "cb a")], level="words")
    assert (found.source, found.target, found.pharaoh) == (["a", "bc"], ["cb", "a"], "0-1 1-0")
    np.testing.assert_allclose(found.weights, [[0, 0.1], [0.1, 0]])


def test_characters_on_one_side_alone_are_aligned_as_words():
    translator = Scripted(list, words_alike, "words", "characters")
    (found,) = align(translator, [("ab", "ba")])
    assert (found.source, found.target) == (["a", "b"], ["ba"])


def one_way(one, other):
    return {("a", "x"): 0.9, ("a", "y"): 0.64, ("b", "z"): 0.1}.get((one, other), 0)


def other_way(one, other):
    return {("x", "a"): 0.4, ("y", "b"): 0.3, ("z", "b"): 0.9}.get((one, other), 0)


@pytest.mark.parametrize(
    "method, pharaoh",
    [("intersection", "0-0 1-2"), ("union", "0-0 0-1 1-2"), ("grow-diag-final-and", "0-0 0-1 1-2")],
)
def test_two_models_are_joined_and_weighted_by_their_agreement(method, pharaoh):
    """One links x and y with a, and z with b; the other a with x, and b with z."""
    models = Scripted(str.split, one_way), Scripted(str.split, other_way)
    (found,) = align(models[0], [("a b", "x y z")], models[1], method)
    assert found.pharaoh == pharaoh
    np.testing.assert_allclose(found.weights, [[0.6, 0], [0, 0], [0, 0.3]])
    assert (found.source, found.target) == (["a", "b"], ["x", "y", "z"])


def test_the_method_is_grow_diag_final_and_unless_another_is_named():
    models = Scripted(str.split, one_way), Scripted(str.split, other_way)
    pairs = [("a b", "x y z"), ("b a", "z x")]
    expected = [each.links for each in align(models[0], pairs, models[1], "grow-diag-final-and")]
    assert [each.links for each in align(models[0], pairs, models[1])] == expected


def test_models_that_cut_differently_are_refused_by_the_pair():
    models = Scripted(str.split, words_alike), Scripted(lambda text: text.replace("-", " ").split(), words_alike)
    aligned = align(models[0], [("a b", "b a"), ("a-b c", "c")], models[1])
    assert next(aligned).pharaoh == "0-1 1-0"
    with pytest.raises(InputError, match="Pair 2 is cut into 2 and 1 words by the one model and into 3 and 1 by the"):
        next(aligned)


@pytest.mark.parametrize("options", [{"method": "grow"}, {"level": "letters"}])
def test_what_is_not_known_is_refused_before_a_pair_is_read(options):
    translator = Scripted(str.split, words_alike)
    ((name, value),) = options.items()
    with pytest.raises(InputError, match=f"{name} is '{value}', but only"):
        next(align(translator, PAIRS, **options))
    assert translator.read == 0


@pytest.mark.parametrize("both", [False, True])
def test_pairs_are_aligned_as_they_are_read_and_none_is_kept(both):
    class Text(str):
        """A string whose end can be seen."""

        alive = 0

        def __init__(self, text):
            Text.alive += 1

        def __del__(self):
            Text.alive -= 1

    translator = Scripted(str.split, words_alike)
    pairs = ((Text(f"a {number}"), Text(f"{number} a")) for number in itertools.count())
    aligned = align(translator, pairs, Scripted(str.split, words_alike) if both else None)
    for number, found in enumerate(itertools.islice(aligned, 1_000), 1):
        assert found.pharaoh == "0-1 1-0" and translator.read == number
        assert Text.alive < 200
