import keras
import numpy as np
import pytest
from helpers import multiplies_bfloat16, numbers, run_python, slow

tf = pytest.importorskip("tensorflow")

from keras_attn import AttentionSeq2Seq, MaskedCrossEntropy, products
from keras_attn.products import batch_product, product

SHAPES = (20, 30), (30, 40)
ALLOWED_FIRST = """
import numpy as np, tensorflow as tf
from keras_attn.functional import project
from keras_attn.products import allow_bfloat16_products, product
print(allow_bfloat16_products())
factors = np.load("factors.npz")
for turned in ((False, False), (True, False), (False, True)):
    given = [factors[name].T if turn else factors[name] for name, turn in zip(("left", "right"), turned)]
    found = product(*map(tf.constant, given), *turned)
    print(found.dtype.name, abs(found - factors["left"] @ factors["right"]).numpy().max())
for left in (factors["left"], factors["left"][:, None]):
    found = project(tf.constant(left), tf.constant(factors["right"]))
    print(found.dtype.name, abs(found - left @ factors["right"]).numpy().max())
"""
ALLOWED_TOO_LATE = """
import os, tensorflow as tf
before = dict(os.environ)
from keras_attn.products import allow_bfloat16_products
tf.matmul(tf.ones((2, 8, 8)), tf.ones((2, 8, 8)))
print(allow_bfloat16_products(), dict(os.environ) == before)
"""


@pytest.mark.parametrize("transpose_left", [False, True])
@pytest.mark.parametrize("transpose_right", [False, True])
def test_it_is_the_product(rng, transpose_left, transpose_right):
    left, right = (rng.normal(size=shape).astype("float32") for shape in SHAPES)
    factors = left.T if transpose_left else left, right.T if transpose_right else right
    found = product(*map(tf.constant, factors), transpose_left, transpose_right)
    np.testing.assert_allclose(numbers(found), left @ right, atol=1e-4)


@pytest.mark.parametrize("rows", [1, 3])
@pytest.mark.parametrize("leading", [(), (2,), (2, 4)])
@pytest.mark.parametrize("turned", [False, True])
def test_batches_have_the_product_and_its_gradients(rng, rows, leading, turned):
    shapes = (*leading, rows, 6), (*leading, 6, 5), (*leading, rows, 5)
    left, right, by_product = (rng.normal(size=shape).astype("float32") for shape in shapes)
    given = tf.constant(left), tf.constant(np.swapaxes(right, -1, -2) if turned else right)
    with tf.GradientTape() as tape:
        tape.watch(given)
        found = batch_product(*given, transpose_right=turned)
    by_left, by_right = map(numbers, tape.gradient(found, given, tf.constant(by_product)))
    np.testing.assert_allclose(numbers(found), left @ right, atol=1e-5)
    np.testing.assert_allclose(by_left, by_product @ np.swapaxes(right, -1, -2), atol=1e-5)
    expected = np.swapaxes(left, -1, -2) @ by_product
    np.testing.assert_allclose(by_right, np.swapaxes(expected, -1, -2) if turned else expected, atol=1e-5)


def test_one_row_may_be_that_of_all_batches(rng):
    left, right = (rng.normal(size=shape).astype("float32") for shape in ((1, 1, 6), (4, 6, 5)))
    given = tf.constant(left), tf.constant(right)
    with tf.GradientTape() as tape:
        tape.watch(given)
        found = batch_product(*given)
    np.testing.assert_allclose(numbers(found), left @ right, atol=1e-5)
    expected = right.sum(axis=-1).sum(axis=0)[None, None]
    np.testing.assert_allclose(numbers(tape.gradient(found, given[0])), expected, atol=1e-5)


@pytest.mark.parametrize("numbers_of_matrices", [(1, 4), (4, 1), (4, 4)])
def test_how_many_matrices_there_are_may_be_known_only_when_it_runs(rng, numbers_of_matrices):
    left, right = (
        rng.normal(size=(number, *shape)).astype("float32")
        for number, shape in zip(numbers_of_matrices, ((1, 6), (6, 5)), strict=True)
    )

    @tf.function(input_signature=[tf.TensorSpec([None, 1, 6]), tf.TensorSpec([None, 6, 5])])
    def gradients(left, right):
        return tf.gradients(tf.square(batch_product(left, right)), [left, right])

    by_left, by_right = gradients(left, right)
    by_product = 2 * left @ right
    for found, every, like in (
        (by_left, by_product @ np.swapaxes(right, -1, -2), left),
        (by_right, np.swapaxes(left, -1, -2) @ by_product, right),
    ):
        expected = every if like.shape == every.shape else every.sum(axis=0, keepdims=True)
        np.testing.assert_allclose(numbers(found), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", ["float16", "bfloat16", "float64"])
def test_one_row_of_another_kind_is_left_to_keras(rng, kind):
    left, right = (tf.cast(rng.normal(size=shape), kind) for shape in ((9, 1, 64), (9, 64, 5)))
    found = batch_product(left, right)
    assert found.dtype == kind
    np.testing.assert_array_equal(numbers(found), numbers(keras.ops.matmul(left, right)))


@pytest.mark.slow
def test_products_round_where_they_may_and_can(rng, tmp_path):
    left, right = (rng.normal(size=shape).astype("float32") for shape in SHAPES)
    np.savez(tmp_path / "factors.npz", left=left, right=right)
    rounds, *found = run_python(ALLOWED_FIRST, cwd=tmp_path).splitlines()
    assert rounds == str(multiplies_bfloat16())
    least, most = (1e-3, 0.2) if multiplies_bfloat16() else (0, 1e-4)
    assert len(found) == 5
    for kind, error in map(str.split, found):
        assert kind == "float32" and least <= float(error) < most


@pytest.mark.slow
def test_after_the_first_product_it_is_too_late_and_changes_nothing(tmp_path):
    assert run_python(ALLOWED_TOO_LATE, cwd=tmp_path).strip() == "False True"


def step_of_training(model, source, target):
    """The gradients by all weights, and the names of the operations that multiply two matrices as Keras does."""
    loss = MaskedCrossEntropy()

    @tf.function
    def gradients():
        with tf.GradientTape() as tape:
            value = loss(target, model({"source": source, "target": target}, training=True))
        return [
            tf.convert_to_tensor(by) for by in tape.gradient(value, [each.value for each in model.trainable_weights])
        ]

    graph = gradients.get_concrete_function().graph.as_graph_def()
    nodes = [*graph.node, *(node for function in graph.library.function for node in function.node_def)]
    return gradients(), [node.name for node in nodes if node.op == "MatMul" and "MatVec" not in node.name]


@pytest.mark.parametrize(
    "options",
    [
        slow({}),
        slow({"tied_softmax": True}),
        {"input_feeding": True},
        slow({"wiring": "bahdanau", "attention": "additive"}),
    ],
)
def test_where_products_may_round_a_model_has_no_others(monkeypatch, rng, options):
    model = AttentionSeq2Seq(20, 20, units=8, **options)
    given = tf.constant(rng.integers(4, 20, (3, 5))), tf.constant(rng.integers(4, 20, (3, 6)))
    expected, plain_products = step_of_training(model, *given)
    assert plain_products
    monkeypatch.setattr(products, "may_round", lambda: True)
    found, plain_products = step_of_training(model, *given)
    assert not plain_products
    for by_weight, as_expected in zip(found, expected, strict=True):
        np.testing.assert_allclose(by_weight, as_expected, atol=1e-6)
