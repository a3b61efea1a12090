import json
import pathlib
import sys

import numpy as np
import pytest
from helpers import run_python

from keras_attn import InputError, learn_text_processor
from keras_attn.evaluation import (
    MEASURES,
    PRESETS,
    bleu_and_chrf,
    by_length,
    exact_match,
    measure,
    normalized_references,
    token_error_rate,
)

sacrebleu = pytest.importorskip("sacrebleu")
pytest.importorskip("rapidfuzz")

OUTPUTS = ["the cat sat on the mat .", "a dog runs fast today", "it is late now , I think"]
REFERENCES = ["the cat is on the mat .", "a dog runs quickly today", "it is late , I believe"]
SEVERAL = [
    [REFERENCES[0], "a cat sat on the mat ."],
    [REFERENCES[1]],
    [REFERENCES[2], "late it is", "it is late now ."],
]


def levenshtein(first, second):
    """Wagner and Fischer's table, written down as they define it."""
    table = np.zeros((len(first) + 1, len(second) + 1), int)
    table[:, 0], table[0] = range(len(first) + 1), range(len(second) + 1)
    for i, a in enumerate(first, 1):
        for j, b in enumerate(second, 1):
            table[i, j] = min(table[i - 1, j] + 1, table[i, j - 1] + 1, table[i - 1, j - 1] + (a != b))
    return table[-1, -1]


def test_exact_match_is_the_share_of_equal_strings():
    assert exact_match(["a", "b", "c", ""], ["a", "x", "C", ""]) == 0.5


def test_an_output_is_right_when_it_equals_any_of_its_references():
    assert exact_match(["a", "b", "c", "d"], [["x", "a"], "b", ["x", "y"], ("d",)]) == 0.75


@pytest.mark.parametrize("form", ["NFKC", "NFD"])
def test_references_are_written_as_translations_are(form):
    pytest.importorskip("tensorflow_text")
    text = learn_text_processor(["é 한"], "characters", normalization=form)
    written = text.to_text(text.to_ids(["e\u0301 한"])).numpy()[0].decode()
    assert normalized_references([["e\u0301 한", "é"], ["é"]], text) == [[written, "é"], ["é"]]


@pytest.mark.parametrize("references", [REFERENCES, [[reference] for reference in REFERENCES]])
def test_bleu_and_chrf_equal_sacrebleu(references):
    found = bleu_and_chrf(OUTPUTS, references, tokenizer="none")
    assert found["bleu"] == sacrebleu.corpus_bleu(OUTPUTS, [REFERENCES], tokenize="none", force=True).score
    assert found["chrf"] == sacrebleu.corpus_chrf(OUTPUTS, [REFERENCES]).score
    assert "tok:none" in found["bleu_signature"] and "chrF" not in found["bleu_signature"]
    assert "nrefs:1|" in found["bleu_signature"] and "nc:6" in found["chrf_signature"]


def test_sources_may_have_different_numbers_of_references():
    streams = [
        [REFERENCES[0], REFERENCES[1], REFERENCES[2]],
        ["a cat sat on the mat .", None, "late it is"],
        [None, None, "it is late now ."],
    ]
    found = bleu_and_chrf(OUTPUTS, SEVERAL)
    assert found["bleu"] == sacrebleu.corpus_bleu(OUTPUTS, streams, force=True).score
    assert found["chrf"] == sacrebleu.corpus_chrf(OUTPUTS, streams).score
    assert "nrefs:var|" in found["bleu_signature"]
    assert found["bleu"] > bleu_and_chrf(OUTPUTS, REFERENCES)["bleu"]


def test_a_perfect_output_has_a_score_of_100():
    found = bleu_and_chrf(["one two three four five"], ["one two three four five"])
    assert found["bleu"] == pytest.approx(100) and found["chrf"] == pytest.approx(100)


def test_the_error_rate_is_edits_by_tokens_of_the_references():
    # one inserted, one deleted, one replaced; three, three and two tokens
    assert token_error_rate(["a x b c", "a c", "a x"], ["a b c", "a b c", "a b"]) == 3 / 8
    assert token_error_rate(["abc"], ["abd"]) == 1
    assert token_error_rate(["abc"], ["abd"], split=list) == 1 / 3
    assert token_error_rate(["a b c"], ["x"]) == 3


def test_the_error_rate_agrees_with_a_table_of_distances(rng):
    def random_texts():
        return [" ".join(rng.choice(list("abc"), rng.integers(1, 9))) for _ in range(50)]

    outputs, references = random_texts(), random_texts()
    edits = sum(levenshtein(output.split(), right.split()) for output, right in zip(outputs, references))
    tokens = sum(len(right.split()) for right in references)
    assert token_error_rate(outputs, references) == edits / tokens
    edits, characters = sum(map(levenshtein, outputs, references)), sum(map(len, references))
    assert measure(outputs, references, ["character_error_rate"]) == {"character_error_rate": edits / characters}


def test_errors_count_against_the_closest_reference_and_of_equally_close_ones_the_longest():
    assert token_error_rate(["a b c"], [["x y", "a b c d", "a x"]]) == 1 / 4
    assert token_error_rate(["a b c d"], [["a b c x y z", "a b"]]) == 2 / 2  # not 3 / 6: fewest edits, not lowest rate
    for references in (["a b", "a b c d"], ["a b c d", "a b"]):  # both are one edit away, whatever their order
        assert token_error_rate(["a b c"], [references]) == 1 / 4


def test_references_without_tokens_give_no_division_by_zero():
    assert token_error_rate([""], [""]) == 0
    assert token_error_rate(["a b", ""], ["", ""]) == 2
    assert token_error_rate(["", "a"], ["", "a b"]) == 1 / 2


def test_pronunciations_are_measured_as_cmudict_is():
    # TOMATO and READ have two pronunciations each; the second output is the other one, the last is a phone off.
    outputs = ["T AH M EY T OW", "R IY D", "K AE T", "D AO G Z"]
    references = [["T AH M EY T OW", "T AH M AA T OW"], ["R EH D", "R IY D"], ["K AE T"], ["D AO G"]]
    found = measure(outputs, references, "pronunciations")
    assert found == {"word_error_rate": 1 / 4, "phone_error_rate": 1 / (6 + 3 + 3 + 3)}


def test_the_presets_hold_what_they_say():
    text = measure(OUTPUTS, REFERENCES, "text", split=list)
    assert list(text)[:5] == ["exact_match", "bleu", "chrf", "word_error_rate", "token_error_rate"]
    assert set(text) - set(MEASURES) == {"bleu_signature", "chrf_signature"}
    assert text["word_error_rate"] == token_error_rate(OUTPUTS, REFERENCES) == 4 / 18  # 1 of 7, 1 of 5, 2 of 6
    assert text["token_error_rate"] == token_error_rate(OUTPUTS, REFERENCES, split=list) != text["word_error_rate"]
    assert list(measure(OUTPUTS, REFERENCES, "strings")) == ["exact_match", "character_error_rate"]
    for preset in PRESETS:
        assert measure(OUTPUTS, SEVERAL, preset) == measure(OUTPUTS, SEVERAL, PRESETS[preset])
        json.dumps(measure(OUTPUTS, SEVERAL, preset))


def test_sequence_errors_and_exact_matches_are_all_there_is():
    found = measure(["a", "b", "c"], ["a", "x", "y"], ["sequence_error_rate", "exact_match"])
    assert found == {"sequence_error_rate": 2 / 3, "exact_match": 1 / 3}


def test_the_measures_of_a_length_are_those_of_its_sources_alone():
    outputs, lengths = [*OUTPUTS, "x"], [3, 9, 5, 12]
    rows = by_length(outputs, [*SEVERAL, "y"], lengths, "text", bounds=[5, 10])
    assert [(row["from"], row["to"], row["sources"]) for row in rows] == [(3, 5, 2), (6, 10, 1), (11, 12, 1)]
    alone = measure([OUTPUTS[0], OUTPUTS[2]], [SEVERAL[0], SEVERAL[2]], "text")
    assert {name: alone[name] for name in PRESETS["text"]} == {name: rows[0][name] for name in PRESETS["text"]}
    assert rows[1]["exact_match"] == 0 and rows[1]["word_error_rate"] == 1 / 5
    json.dumps(rows)


def test_a_range_without_sources_is_left_out():
    rows = by_length(["a", "b"], ["a", "b"], [3, 30], ["exact_match"], bounds=np.array([1, 5, 10, 20, 40]))
    assert [(row["from"], row["to"]) for row in rows] == [(3, 5), (21, 30)]
    json.dumps(rows)


def ranges(lengths):
    texts = ["a"] * len(lengths)
    rows = by_length(texts, texts, lengths, ["exact_match"])
    assert sum(row["sources"] for row in rows) == len(lengths)
    return [(row["from"], row["to"]) for row in rows]


def test_ranges_are_round_few_and_hold_a_fair_share(rng):
    assert ranges([4, 4, 4]) == [(4, 4)]
    assert ranges([1, 2, 3, 4, 5, 6]) == [(n, n) for n in range(1, 7)]
    assert ranges([1, 2, 3, 4, 5, 6, 7]) == [(1, 2), (3, 4), (5, 6), (7, 7)]
    assert ranges(list(range(1, 101))) == [(1, 20), (21, 40), (41, 60), (61, 80), (81, 100)]
    # Four of a hundred are too few at either end: they join their neighbours.
    assert ranges([2] * 4 + [7] * 46 + [12] * 46 + [70] * 4) == [(2, 7), (8, 70)]
    lengths = np.round(np.exp(rng.normal(2.5, 0.5, 2000))).astype(int)
    found = ranges(lengths)
    assert 3 <= len(found) <= 6 and all(end % 5 == 0 for _, end in found[:-1])
    assert all(np.mean((lengths >= low) & (lengths <= high)) >= 1 / 20 for low, high in found)


@pytest.mark.parametrize(
    "function", [exact_match, bleu_and_chrf, token_error_rate, lambda *lists: measure(*lists, measures="text")]
)
@pytest.mark.parametrize("outputs, references", [(["a"], ["a", "b"]), ([], [])])
def test_lists_of_different_lengths_or_nothing_are_refused(function, outputs, references):
    with pytest.raises(InputError, match=f"{len(outputs)} outputs and {len(references)} references"):
        function(outputs, references)


def test_an_unknown_tokenizer_is_refused_with_the_known_ones():
    with pytest.raises(InputError, match="'moses'.*'13a'"):
        bleu_and_chrf(["a"], ["a"], tokenizer="moses")


@pytest.mark.parametrize(
    "outputs, references, measures, sentence",
    [
        (["a", "b"], [["a"], []], "text", "Output 2 has no reference"),
        (["a", "b"], ["a", None], "text", "Output 2 or a reference of it is None; each must be a string"),
        (["a", b"b"], ["a", "b"], "text", "Output 2 or a reference of it is b'b'"),
        (["a"], ["a"], ["exact_match", "meteor"], "'meteor' is no measure; known are exact_match, .*bleu"),
        (["a"], ["a"], "words", "'words' is no preset; known are text, strings, pronunciations"),
        (["a"], ["a"], {"errors": "bleu"}, "'errors' is no measure"),
    ],
)
def test_bad_input_is_refused_in_one_sentence(outputs, references, measures, sentence):
    with pytest.raises(InputError, match=sentence):
        measure(outputs, references, measures)


@pytest.mark.parametrize(
    "lengths, bounds, sentence",
    [
        ([1, 2, 3], None, "2 outputs and 3 lengths"),
        ([1.5, 2.0], None, r"lengths \(float64\); give the length of each source, a whole number"),
        ([1, 2], [5, 5], r"bounds is \[5, 5\]; give whole numbers, each above the one before"),
        ([1, 2], [5, 1], r"bounds is \[5, 1\]"),
        ([1, 2], [1.5], r"bounds is \[1.5\]"),
    ],
)
def test_bad_lengths_and_bounds_are_refused(lengths, bounds, sentence):
    with pytest.raises(InputError, match=sentence):
        by_length(["a", "b"], ["a", "b"], lengths, ["exact_match"], bounds=bounds)


@pytest.mark.parametrize("module, name", [("rapidfuzz", "word_error_rate"), ("sacrebleu", "chrf")])
def test_a_missing_package_is_named_and_hinders_no_other_measure(module, name, monkeypatch):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match=f"pip install {module}$"):
        measure(["a"], ["a"], [name])
    assert exact_match(["a"], ["a"]) == 1


def test_what_measures_imports_no_tensorflow():
    modules = "keras_attn.evaluation, keras_attn.significance, keras_attn.tables"
    # With these arguments the package takes itself for the command line and leaves Keras alone.
    code = f"import sys; sys.argv = ['keras-attn']; import {modules}; print('tensorflow' in sys.modules)"
    assert run_python(code, cwd=pathlib.Path(__file__).parents[1]) == "False\n"
