import os

import numpy as np
import pytest

from keras_attn import InputError
from keras_attn.evaluation import MEASURES, PRESETS, measure
from keras_attn.significance import confidence_intervals, paired_test

sacrebleu = pytest.importorskip("sacrebleu")
pytest.importorskip("rapidfuzz")

WORDS = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]


def texts(rng, number, length=8):
    return [" ".join(rng.choice(WORDS, length)) for _ in range(number)]


def disturbed(rng, references, share):
    """The references with a share of their words replaced by others."""
    return [" ".join(w if rng.random() >= share else rng.choice(WORDS) for w in text.split()) for text in references]


@pytest.fixture
def references(rng):
    return texts(rng, 64)


@pytest.fixture
def outputs(rng, references):
    return disturbed(rng, references, 0.3)


@pytest.fixture
def baseline(rng, references):
    return disturbed(rng, references, 0.38)


def test_where_all_is_right_the_interval_has_no_width(references):
    for name, interval in confidence_intervals(references, references, MEASURES, samples=20).items():
        best = {"exact_match": 1, "bleu": 100, "chrf": 100}.get(name, 0)
        assert interval == pytest.approx((best, best))


def test_the_interval_of_a_share_is_that_of_the_binomial_distribution():
    # 200 outputs, 0.3 of them right: twice the standard deviation of the share, 0.0324, to either side
    outputs = ["a"] * 60 + ["b"] * 140
    low, high = confidence_intervals(outputs, ["a"] * 200, ["exact_match"], samples=4000)["exact_match"]
    deviation = np.sqrt(0.3 * 0.7 / 200)
    assert (low, high) == pytest.approx((0.3 - 1.96 * deviation, 0.3 + 1.96 * deviation), abs=0.006)
    narrow = confidence_intervals(outputs, ["a"] * 200, ["exact_match"], level=0.68, samples=4000)["exact_match"]
    assert narrow == pytest.approx((0.3 - deviation, 0.3 + deviation), abs=0.006)


def test_a_rate_is_drawn_again_with_its_edits_and_its_tokens():
    # Nine words right out of ten in long texts, none of one in short ones: the rate of a draw of two texts is 1, 1/10
    # (twice the long) or 2/11; the middle of them is the most frequent.
    outputs, references = ["a a a a a a a a a x", "x"], ["a a a a a a a a a a", "a"]
    interval = confidence_intervals(outputs, references, ["word_error_rate"], level=0.999, samples=500)
    assert interval == {"word_error_rate": (1 / 10, 1.0)}
    middle = confidence_intervals(outputs, references, ["word_error_rate"], level=0.2, samples=500)
    assert middle == {"word_error_rate": (2 / 11, 2 / 11)}


@pytest.mark.parametrize("name, metric", [("bleu", sacrebleu.BLEU(force=True)), ("chrf", sacrebleu.CHRF())])
def test_the_samples_are_those_that_sacrebleu_draws(name, metric, outputs, references):
    low, high = confidence_intervals(outputs, references, [name], samples=400)[name]
    theirs = metric.corpus_score(outputs, [references], n_bootstrap=400)
    assert (high - low) / 2 == pytest.approx(theirs._ci, rel=0.03)  # of 400 they take the 11th, this the 10.975th
    assert low < theirs.score < high


@pytest.mark.parametrize("name, metric", [("bleu", sacrebleu.BLEU(force=True)), ("chrf", sacrebleu.CHRF())])
def test_the_p_value_is_that_of_sacrebleus_approximate_randomization(name, metric, outputs, baseline, references):
    found = paired_test(outputs, baseline, references, [name], samples=300)[name]
    systems = [("baseline", baseline), ("outputs", outputs)]
    _, theirs = sacrebleu.significance.PairedTest(systems, {name: metric}, [references], "ar", n_samples=300)()
    before, after = theirs[{"bleu": "BLEU", "chrf": "chrF2"}[name]]
    # Sacrebleu draws the sides of all trials at once; with 64 pairs that are the same ones.
    assert found["p_value"] == after.p_value and 1 / 301 < after.p_value < 1
    assert found["difference"] == pytest.approx(after.score - before.score)


def test_the_p_value_of_a_share_is_that_of_the_sign_test():
    # The systems differ in eight outputs, of which seven are right in the first: 2 * (1 + 8) / 2**8
    outputs, baseline = ["a"] * 47 + ["x"] * 1 + ["x"] * 12, ["a"] * 40 + ["x"] * 7 + ["a"] + ["x"] * 12
    found = paired_test(outputs, baseline, ["a"] * 60, ["exact_match", "sequence_error_rate"])
    assert found["exact_match"]["difference"] == pytest.approx(6 / 60)
    assert found["exact_match"]["p_value"] == pytest.approx(18 / 256, abs=0.006)
    assert found["sequence_error_rate"]["difference"] == pytest.approx(-6 / 60)
    assert found["sequence_error_rate"]["p_value"] == found["exact_match"]["p_value"]


def test_a_system_does_not_differ_from_itself(outputs, references):
    for result in paired_test(outputs, outputs, references, "text", samples=50).values():
        assert result == {"difference": 0, "p_value": 1}


def test_systems_that_differ_a_lot_do_not_by_chance(rng, outputs, references):
    found = paired_test(outputs, texts(rng, 64), references, ["bleu", "chrf", "word_error_rate"], samples=500)
    assert all(result["p_value"] == 1 / 501 for result in found.values())
    assert found["bleu"]["difference"] > 30 and found["word_error_rate"]["difference"] < -0.3


def test_equally_good_systems_are_called_different_as_seldom_as_the_p_value_says(rng):
    alarms = 0
    for _ in range(200):
        first, second = (np.where(rng.random(120) < 0.5, "a", "x").tolist() for _ in range(2))
        alarms += paired_test(first, second, ["a"] * 120, ["exact_match"], samples=150)["exact_match"]["p_value"] < 0.1
    assert 6 <= alarms <= 30  # 20 expected, less a little as shares come in steps; 2.4 standard deviations are 10


def test_several_references_are_taken_into_account():
    outputs, baseline, references = ["a", "b"] * 30, ["c", "c"] * 30, [["a", "b"]] * 60
    assert confidence_intervals(outputs, references, "pronunciations", samples=10)["word_error_rate"] == (0, 0)
    assert paired_test(outputs, baseline, references, "pronunciations", samples=10)["word_error_rate"] == {
        "difference": -1,
        "p_value": 1 / 11,
    }


@pytest.mark.parametrize("options", [{"tokenizer": "char"}, {"split": list}])
def test_the_options_of_the_measures_are_heeded(options, outputs, baseline, references):
    names = ["bleu", "token_error_rate"]
    values, before = (measure(system, references, names, **options) for system in (outputs, baseline))
    intervals = confidence_intervals(outputs, references, names, samples=50, **options)
    tests = paired_test(outputs, baseline, references, names, samples=5, **options)
    for name in names:
        assert intervals[name][0] < values[name] < intervals[name][1]
        assert tests[name]["difference"] == pytest.approx(values[name] - before[name])


def test_the_seed_decides_and_nothing_outside_is_changed(outputs, baseline, references, monkeypatch):
    monkeypatch.setenv("SACREBLEU_SEED", "7")
    state, environment = np.random.get_state()[1].copy(), dict(os.environ)

    def run(**seed):
        return (
            confidence_intervals(outputs, references, PRESETS["text"], samples=30, **seed),
            paired_test(outputs, baseline, references, PRESETS["text"], samples=200, **seed),
        )

    assert run() == run(seed=12345)
    for first, other in zip(run(seed=1), run(seed=2)):
        assert first != other
    assert dict(os.environ) == environment
    np.testing.assert_array_equal(np.random.get_state()[1], state)


@pytest.mark.parametrize("level", [0, 1, 95])
def test_a_level_that_is_no_share_is_refused(level):
    with pytest.raises(InputError, match=f"level is {level}, but it must be between 0 and 1"):
        confidence_intervals(["a"], ["a"], ["exact_match"], level=level)


def test_no_sample_and_a_baseline_of_other_sources_are_refused():
    with pytest.raises(InputError, match="samples is 0"):
        confidence_intervals(["a"], ["a"], ["exact_match"], samples=0)
    with pytest.raises(InputError, match="samples is -1"):
        paired_test(["a"], ["a"], ["a"], ["exact_match"], samples=-1)
    with pytest.raises(InputError, match="1 outputs and 2 of the baseline"):
        paired_test(["a"], ["a", "b"], ["a"], ["exact_match"])
