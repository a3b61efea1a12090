import pytest

from keras_attn import InputError
from keras_attn.evaluation import bleu_and_chrf, exact_match


def test_exact_match_is_the_share_of_equal_strings():
    assert exact_match(["a", "b", "c", ""], ["a", "x", "C", ""]) == 0.5


def test_bleu_and_chrf_equal_sacrebleu():
    sacrebleu = pytest.importorskip("sacrebleu")
    outputs = ["the cat sat on the mat .", "a dog runs fast today"]
    references = ["the cat is on the mat .", "a dog runs quickly today"]
    found = bleu_and_chrf(outputs, references, tokenizer="none")
    assert found["bleu"] == sacrebleu.corpus_bleu(outputs, [references], tokenize="none", force=True).score
    assert found["chrf"] == sacrebleu.corpus_chrf(outputs, [references]).score
    assert "tok:none" in found["bleu_signature"] and "chrF" not in found["bleu_signature"]


def test_a_perfect_output_has_a_score_of_100():
    pytest.importorskip("sacrebleu")
    found = bleu_and_chrf(["one two three four five"], ["one two three four five"])
    assert found["bleu"] == pytest.approx(100) and found["chrf"] == pytest.approx(100)


@pytest.mark.parametrize("measure", [exact_match, bleu_and_chrf])
@pytest.mark.parametrize("outputs, references", [(["a"], ["a", "b"]), ([], [])])
def test_lists_of_different_lengths_or_nothing_are_refused(measure, outputs, references):
    with pytest.raises(InputError, match=f"{len(outputs)} outputs and {len(references)} references"):
        measure(outputs, references)


def test_an_unknown_tokenizer_is_refused_with_the_known_ones():
    with pytest.raises(InputError, match="'moses'.*'13a'"):
        bleu_and_chrf(["a"], ["a"], tokenizer="moses")
