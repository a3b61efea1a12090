import numpy as np
import pytest
from helpers import numbers, softmax

from keras_attn import Perplexity, TokenAccuracy

LABELS = np.array([[4, 3, 0], [5, 0, 0]], "int32")


@pytest.fixture
def logits(rng):
    return rng.normal(size=(2, 3, 7)).astype("float32")


def test_accuracy_counts_real_tokens_alone():
    logits = np.zeros((2, 3, 7), "float32")
    for position in [(0, 0, 4), (0, 1, 6), (0, 2, 0), (1, 0, 5), (1, 1, 0), (1, 2, 0)]:
        logits[position] = 1  # two of the three tokens are right, and so is all padding
    assert numbers(TokenAccuracy()(LABELS, logits)) == pytest.approx(2 / 3)


def test_perplexity_is_the_exponential_of_the_mean_over_all_tokens_seen(logits):
    metric = Perplexity()
    metric.update_state(LABELS[:1], logits[:1])  # two tokens
    metric.update_state(LABELS[1:], logits[1:])  # one token
    surprises = [-np.log(softmax(logits[row, p])[LABELS[row, p]]) for row, p in [(0, 0), (0, 1), (1, 0)]]
    assert numbers(metric.result()) == pytest.approx(np.exp(np.mean(surprises)), rel=1e-5)


def test_a_model_that_knows_nothing_wavers_between_all_tokens():
    assert numbers(Perplexity()(LABELS, np.zeros((2, 3, 7), "float32"))) == pytest.approx(7)


@pytest.mark.parametrize("metric", [TokenAccuracy, Perplexity])
def test_padding_does_not_change_the_metric(metric, logits):
    padded = np.pad(logits, [(0, 1), (0, 4), (0, 0)])
    longer = np.pad(LABELS, [(0, 1), (0, 4)])
    assert numbers(metric()(longer, padded)) == pytest.approx(float(numbers(metric()(LABELS, logits))))
