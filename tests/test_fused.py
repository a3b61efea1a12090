"""The loss that never writes all logits, against the plain one: losses, gradients, metrics, and what is not computed."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from helpers import numbers

from keras_attn import AttentionSeq2Seq, MaskedCrossEntropy, Perplexity, TokenAccuracy
from keras_attn.kernels import fused
from keras_attn.kernels.fused import Origin, origin_of, trace_logits

UNITS, VOCABULARY = 6, 30


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    """So that a batch needs several."""
    monkeypatch.setattr(fused, "_LOGITS_AT_A_TIME", VOCABULARY)
    monkeypatch.setattr(fused, "_LEAST_TOKENS", 3)


def parts(rng, lengths, is_embedding=False, dtype="float32"):
    """Vectors, matrix, bias and labels of sentences of these lengths, padded to 5."""
    shape = (VOCABULARY, UNITS) if is_embedding else (UNITS, VOCABULARY)
    vectors = tf.cast(rng.normal(size=(len(lengths), 5, UNITS)), dtype)
    labels = np.where(np.arange(5) < np.array(lengths)[:, None], rng.integers(1, VOCABULARY, (len(lengths), 5)), 0)
    matrix, bias = (
        tf.Variable(rng.normal(size=shape), dtype=tf.float32),
        tf.Variable(rng.normal(size=VOCABULARY), dtype=tf.float32),
    )
    return vectors, matrix, bias, tf.constant(labels, tf.int32)


def loss_and_gradients(loss, vectors, matrix, bias, labels, is_embedding, traced, sample_weight=None, training=True):
    with tf.GradientTape() as tape:
        tape.watch(vectors)
        products = tf.matmul(vectors, tf.cast(matrix, vectors.dtype)[None], transpose_b=is_embedding)
        logits = products + tf.cast(bias, vectors.dtype)
        if traced:
            trace_logits(logits, Origin(vectors, matrix, bias, is_embedding, training))
            assert origin_of(logits)
        value = loss(labels, logits, sample_weight)
    return [value, *map(tf.convert_to_tensor, tape.gradient(value, [vectors, matrix, bias]))]


LENGTHS = {"mixed": [5, 1, 0, 3, 5, 2], "full": [5, 5, 5], "one token": [1], "two chunks exactly": [5, 1]}


@pytest.mark.parametrize("smoothing, is_embedding", [(0.0, False), (0.0, True), (0.2, False), (0.2, True)])
@pytest.mark.parametrize("lengths", LENGTHS)
def test_it_equals_the_plain_loss_and_its_gradients(rng, lengths, smoothing, is_embedding):
    given = parts(rng, LENGTHS[lengths], is_embedding)
    loss = MaskedCrossEntropy(smoothing)
    plain = loss_and_gradients(loss, *given, is_embedding, traced=False)
    for found, expected in zip(loss_and_gradients(loss, *given, is_embedding, traced=True), plain, strict=True):
        np.testing.assert_allclose(found, expected, atol=2e-6)


def test_shapes_may_be_known_only_when_it_runs(rng):
    given = parts(rng, LENGTHS["mixed"])

    @tf.function(input_signature=[tf.TensorSpec([None, None, None]), tf.TensorSpec([None, None], tf.int32)])
    def compute(vectors, labels):
        return loss_and_gradients(MaskedCrossEntropy(), vectors, *given[1:3], labels, False, traced=True)

    plain = loss_and_gradients(MaskedCrossEntropy(), *given, False, traced=False)
    for found, expected in zip(compute(given[0], given[3]), plain, strict=True):
        np.testing.assert_allclose(found, expected, atol=2e-6)


@pytest.mark.parametrize("shape", [(6,), (6, 5)])
def test_sample_weights_count_as_in_the_plain_loss(rng, shape):
    given = parts(rng, LENGTHS["mixed"])
    weights = rng.uniform(0, 3, shape)
    weights[0] = 0
    found, plain = (
        loss_and_gradients(MaskedCrossEntropy(0.1), *given, False, traced, tf.constant(weights))
        for traced in (True, False)
    )
    for one, other in zip(found, plain, strict=True):
        np.testing.assert_allclose(one, other, atol=2e-6)


@pytest.mark.parametrize("smoothing, training", [(0.0, True), (0.1, True), (0.1, False)])
def test_sample_weights_may_be_learned(rng, smoothing, training):
    given = parts(rng, LENGTHS["mixed"])
    weights = tf.Variable(rng.uniform(0, 3, 6), dtype=tf.float32)
    gradients = []
    for traced in (True, False):
        with tf.GradientTape() as tape:
            value, *_ = loss_and_gradients(MaskedCrossEntropy(smoothing), *given, False, traced, weights, training)
        gradients.append(tape.gradient(value, weights))
    np.testing.assert_allclose(*gradients, atol=2e-6)


def test_in_bfloat16_it_is_as_near_to_float32_as_the_plain_loss(rng):
    vectors, *others = parts(rng, LENGTHS["mixed"])
    exact = loss_and_gradients(MaskedCrossEntropy(), vectors, *others, False, traced=False)
    halved = tf.cast(vectors, "bfloat16")
    for traced in (True, False):
        found = loss_and_gradients(MaskedCrossEntropy(), halved, *others, False, traced)
        assert found[1].dtype == "bfloat16" and found[2].dtype == "float32"
        for one, other in zip(found, exact, strict=True):
            np.testing.assert_allclose(numbers(one), other, atol=0.02)


@pytest.mark.parametrize("shape", [(0, 5), (2, 0), (2, 3)])
def test_nothing_real_has_a_loss_of_zero_and_no_gradient(rng, shape):
    given = tf.zeros((*shape, UNITS)), *parts(rng, [1])[1:3], tf.zeros(shape, tf.int32)
    for found in loss_and_gradients(MaskedCrossEntropy(), *given, False, traced=True):
        assert not numbers(found).any()


def test_very_large_and_very_small_logits_keep_their_loss():
    vectors, bias = tf.constant([[[1.0]]]), tf.zeros(2)
    for matrix, loss in (([[0.0, 1000.0]], 0), ([[1000.0, 0.0]], 1000), ([[0.0, -1000.0]], 1000)):
        logits = tf.matmul(vectors, tf.constant(matrix)[None])
        trace_logits(logits, Origin(vectors, tf.constant(matrix), bias, False, training=True))
        np.testing.assert_allclose(MaskedCrossEntropy()(tf.constant([[1]]), logits), loss, rtol=1e-6)


def test_gradients_that_were_not_expected_are_right_too(rng):
    given = parts(rng, LENGTHS["mixed"])
    found, plain = (
        loss_and_gradients(MaskedCrossEntropy(0.1), *given, False, traced, training=False) for traced in (True, False)
    )
    for one, other in zip(found, plain, strict=True):
        np.testing.assert_allclose(one, other, atol=2e-6)


@pytest.mark.parametrize("reduction", ["sum", "none", "sum_over_batch_size"])
def test_other_reductions_are_as_they_were(rng, reduction):
    given = parts(rng, LENGTHS["mixed"])
    loss = MaskedCrossEntropy(reduction=reduction)
    found, plain = (loss_and_gradients(loss, *given, False, traced) for traced in (True, False))
    for one, other in zip(found, plain, strict=True):
        np.testing.assert_array_equal(one, other)


MODELS = {
    "tied": {"tied_softmax": True},
    "input feeding": {"input_feeding": True},
    "dropout": {"dropout": 0.3},
}


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_a_model_learns_and_measures_the_same(rng, name, monkeypatch):
    source, target, labels = (rng.integers(4, VOCABULARY, (6, length)) for length in (4, 5, 5))
    labels[2, 3:] = labels[4] = 0

    def train():
        keras.utils.set_random_seed(1)
        model = AttentionSeq2Seq(VOCABULARY, VOCABULARY, units=UNITS, **MODELS[name])
        model.compile(keras.optimizers.SGD(0.5), MaskedCrossEntropy(), metrics=[TokenAccuracy(), Perplexity()])
        ids = tf.TensorSpec([None, None], tf.int32)  # as in a pipeline: the shapes are known only when it runs
        signature = ({"source": ids, "target": ids}, ids)
        batch = ({"source": source, "target": target}, labels)
        dataset = tf.data.Dataset.from_generator(lambda: [batch, batch], output_signature=signature)
        history = model.fit(dataset, validation_data=dataset, shuffle=False, verbose=0).history
        return [history[name] for name in sorted(history)], model.get_weights()

    found, weights = train()
    monkeypatch.setattr("keras_attn.layers.decoder.trace_logits", lambda *arguments: None)
    expected, expected_weights = train()
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    for one, other in zip(weights, expected_weights, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)


@pytest.mark.parametrize("asked", [False, True])
def test_logits_that_nobody_asks_for_are_not_computed(rng, asked):
    vectors, matrix, bias, labels = parts(rng, [5, 3])
    computed = []

    def count(logits):
        computed.append(logits.shape)
        return logits

    @tf.function
    def both():
        logits = tf.numpy_function(count, [tf.matmul(vectors, matrix[None]) + bias], tf.float32, stateful=False)
        trace_logits(logits, Origin(vectors, matrix, bias, False, training=True))
        loss = MaskedCrossEntropy()(labels, logits)
        for metric in metrics:
            metric.update_state(labels, logits)
        return (loss, logits) if asked else loss

    metrics = [TokenAccuracy(), Perplexity()]
    both()
    assert computed == ([(2, 5, VOCABULARY)] if asked else [])


def small_model(**options):
    model = AttentionSeq2Seq(VOCABULARY, VOCABULARY, units=UNITS, **options)
    model.build()
    return model


@pytest.mark.parametrize("tied", [False, True])
def test_the_loss_is_that_of_the_logits_whatever_becomes_of_the_weights(rng, tied):
    model, labels = small_model(tied_softmax=tied), tf.constant(rng.integers(4, VOCABULARY, (3, 5)))
    inputs = {name: tf.constant(rng.integers(4, VOCABULARY, (3, 5))) for name in ("source", "target")}

    def losses():
        logits = model(inputs)
        for variable in model.trainable_variables:
            variable.assign(2.0 * variable)
        return MaskedCrossEntropy()(labels, logits), MaskedCrossEntropy()(labels, tf.identity(logits))

    for compute in (losses, tf.function(losses)):
        np.testing.assert_allclose(*compute(), rtol=1e-5)


def test_a_model_notes_where_its_logits_come_from_where_they_may_be_left_out(rng):
    model = small_model()
    inputs = {name: tf.constant(rng.integers(4, VOCABULARY, (3, 5))) for name in ("source", "target")}

    def origin_in_graph():
        noted = []
        tf.function(lambda: noted.append(origin_of(model(inputs))))()
        return noted[0]

    assert origin_in_graph() is None  # whose loss this will be, nobody knows
    model.compile(loss=MaskedCrossEntropy())
    assert origin_in_graph() is not None and origin_of(model(inputs)) is None
    model.compile(loss=MaskedCrossEntropy(), jit_compile=True)
    assert origin_in_graph() is None


def test_logits_that_exist_already_have_a_gradient(rng):
    model, labels = small_model(), tf.constant(rng.integers(4, VOCABULARY, (3, 5)))
    logits = model({name: rng.integers(4, VOCABULARY, (3, 5)) for name in ("source", "target")})
    with tf.GradientTape() as tape:
        tape.watch(logits)
        loss = MaskedCrossEntropy()(labels, logits)
    expected = (tf.nn.softmax(logits) - tf.one_hot(labels, VOCABULARY)) / 15
    np.testing.assert_allclose(tape.gradient(loss, logits), expected, atol=1e-6)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_of_several_tokens_that_are_the_most_probable_the_first_counts(rng, dtype):
    vectors, matrix, bias, labels = parts(rng, LENGTHS["mixed"], dtype=dtype)
    matrix.assign(tf.repeat(matrix[:, ::2], 2, axis=1))  # each token is as probable as its neighbour
    bias.assign(tf.repeat(bias[::2], 2))
    logits = tf.matmul(vectors, tf.cast(matrix, dtype)[None]) + tf.cast(bias, dtype)
    trace_logits(logits, Origin(vectors, matrix, bias, False, training=False))
    first = tf.where(labels == 0, 0, tf.argmax(logits, -1, tf.int32))
    for given, expected in ((first, 1), (tf.where(labels == 0, 0, first + 1), 0)):
        MaskedCrossEntropy()(given, logits)
        accuracy = TokenAccuracy()
        accuracy.update_state(given, logits)
        assert accuracy.result() == expected


def test_what_was_found_of_other_labels_is_not_taken(rng):
    vectors, matrix, bias, labels = parts(rng, [5, 3])
    logits = tf.matmul(vectors, matrix[None]) + bias
    trace_logits(logits, Origin(vectors, matrix, bias, False, training=False))
    MaskedCrossEntropy()(labels, logits)
    right = tf.argmax(logits, -1, tf.int32)
    for given, expected in ((right, 1), (tf.where(right == 7, 8, 7), 0)):
        accuracy = TokenAccuracy()
        accuracy.update_state(given, logits)
        assert accuracy.result() == expected
