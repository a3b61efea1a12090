import keras
import numpy as np
import pytest
from helpers import numbers, softmax

from keras_attn import MaskedCrossEntropy

LABELS = np.array([[4, 3, 0], [5, 0, 0]], "int32")


@pytest.fixture
def logits(rng):
    return rng.normal(size=(2, 3, 7)).astype("float32") * 3


def mean_over_tokens(logits, smoothing=0.0):
    """The definition: cross-entropy to the smoothed distribution, averaged over the three real tokens."""
    losses = []
    for row, position in [(0, 0), (0, 1), (1, 0)]:
        wanted = np.full(7, smoothing / 7)
        wanted[LABELS[row, position]] += 1 - smoothing
        losses.append(-(wanted * np.log(softmax(logits[row, position]))).sum())
    return np.mean(losses)


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.4])
def test_it_equals_the_definition(logits, smoothing):
    loss = MaskedCrossEntropy(smoothing)(LABELS, logits)
    np.testing.assert_allclose(numbers(loss), mean_over_tokens(logits, smoothing), rtol=1e-5)


def test_it_equals_smoothed_categorical_cross_entropy_of_keras(logits):
    one_hot = keras.ops.one_hot(LABELS[:1, :2], 7)
    theirs = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.2)(one_hot, logits[:1, :2])
    ours = MaskedCrossEntropy(0.2)(LABELS[:1, :2], logits[:1, :2])
    np.testing.assert_allclose(numbers(ours), numbers(theirs), rtol=1e-5)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_padding_does_not_change_the_loss(logits, smoothing):
    loss = MaskedCrossEntropy(smoothing)
    padded = np.pad(logits, [(0, 1), (0, 4), (0, 0)], constant_values=9.0)
    longer = np.pad(LABELS, [(0, 1), (0, 4)])
    np.testing.assert_allclose(numbers(loss(longer, padded)), numbers(loss(LABELS, logits)), rtol=1e-6)


def test_padding_gets_no_gradient_and_a_token_its_softmax_less_the_label(logits):
    tf = pytest.importorskip("tensorflow")
    logits = tf.constant(logits)
    with tf.GradientTape() as tape:
        tape.watch(logits)
        loss = MaskedCrossEntropy()(LABELS, logits)
    gradient = tape.gradient(loss, logits).numpy()
    assert (gradient[LABELS == 0] == 0).all()
    expected = (softmax(logits.numpy()[0, 0]) - np.eye(7)[4]) / 3
    np.testing.assert_allclose(gradient[0, 0], expected, atol=1e-6)


def test_a_sentence_weight_multiplies_its_tokens(logits):
    first_alone = MaskedCrossEntropy()(LABELS[:1], logits[:1])
    weighted = MaskedCrossEntropy()(LABELS, logits, sample_weight=np.array([1.0, 0.0]))
    np.testing.assert_allclose(numbers(weighted), numbers(first_alone), rtol=1e-6)


def test_a_batch_of_nothing_but_padding_has_no_loss(logits):
    assert numbers(MaskedCrossEntropy(0.1)(np.zeros((2, 3), "int32"), logits)) == 0


def test_labels_beyond_the_precision_of_bfloat16_are_told_apart():
    logits = keras.ops.one_hot(np.array([[301]]), 400) * 20.0
    loss = MaskedCrossEntropy()
    right = loss(np.array([[301]]), keras.ops.cast(logits, "bfloat16"))
    wrong = loss(np.array([[302]]), keras.ops.cast(logits, "bfloat16"))
    assert numbers(right) < 0.01 < 10 < numbers(wrong)


def test_smoothing_out_of_range_is_refused():
    with pytest.raises(ValueError, match="label_smoothing is 1.*below 1"):
        MaskedCrossEntropy(1)


def test_the_configuration_makes_the_same_loss():
    loss = MaskedCrossEntropy(0.1)
    assert keras.losses.deserialize(keras.losses.serialize(loss)).get_config() == loss.get_config()
