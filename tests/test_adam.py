import keras
import numpy as np
import pytest
from helpers import slow

from keras_attn import AttentionSeq2Seq, FusedAdam, MaskedCrossEntropy
from keras_attn.models import adam

tf = pytest.importorskip("tensorflow")
pytestmark = pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="other backends have Keras's own step")

RATE, STEPS = 0.01, 4


def adam_in_numpy(weights, gradients, beta_1=0.9, beta_2=0.999, epsilon=1e-7):
    """Kingma and Ba 2015, algorithm 1 in the more efficient order of section 2, whose ε is not corrected."""
    weights, first, second = weights.astype("float64"), 0.0, 0.0
    for step, gradient in enumerate(gradients, 1):
        first = beta_1 * first + (1 - beta_1) * gradient
        second = beta_2 * second + (1 - beta_2) * gradient**2
        rate = RATE * np.sqrt(1 - beta_2**step) / (1 - beta_1**step)
        weights = weights - rate * first / (np.sqrt(second) + epsilon)
    return weights


def stepped(optimizer, weights, gradients):
    variable = keras.Variable(weights)
    for gradient in gradients:
        optimizer.apply([gradient], [variable])
    return variable.numpy()


def test_it_equals_the_paper(rng):
    weights, gradients = rng.normal(size=(3, 5)), rng.normal(size=(STEPS, 3, 5))
    ours = stepped(FusedAdam(RATE), weights, [tf.constant(each, "float32") for each in gradients])
    np.testing.assert_allclose(ours, adam_in_numpy(weights, gradients), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "options", [{"beta_1": 0.8, "beta_2": 0.95, "epsilon": 1e-3}, {"clipnorm": 0.5}, {"weight_decay": 0.1}]
)
def test_its_arguments_mean_what_they_mean_in_keras(rng, options):
    weights = rng.normal(size=(3, 5))
    gradients = [tf.constant(each, "float32") for each in rng.normal(size=(STEPS, 3, 5))]
    ours, theirs = (stepped(kind(RATE, **options), weights, gradients) for kind in (FusedAdam, keras.optimizers.Adam))
    np.testing.assert_allclose(ours, theirs, rtol=1e-5)


def test_a_gradient_of_some_rows_counts_for_them_and_a_row_that_stands_twice_counts_twice(rng):
    rows, of_rows = np.array([4, 1, 4]), rng.normal(size=(STEPS, 3, 2))
    weights, gradients = rng.normal(size=(6, 2)), np.zeros((STEPS, 6, 2))
    for gradient, values in zip(gradients, of_rows):
        np.add.at(gradient, rows, values)
    slices = [tf.IndexedSlices(tf.constant(values, "float32"), rows, (6, 2)) for values in of_rows]
    np.testing.assert_allclose(stepped(FusedAdam(RATE), weights, slices), adam_in_numpy(weights, gradients), rtol=1e-5)


def trained(optimizer):
    keras.utils.set_random_seed(3)
    ids = np.random.default_rng(3).integers(4, 12, size=(8, 6)).astype("int32")
    model = AttentionSeq2Seq(12, 12, units=8)
    model.compile(optimizer, MaskedCrossEntropy())
    model.fit({"source": ids, "target": ids}, ids, batch_size=4, epochs=3, verbose=0, shuffle=False)
    return model


@pytest.mark.parametrize("options", [{}, slow({"use_ema": True, "ema_momentum": 0.5}), slow({"weight_decay": 0.1})])
def test_fit_ends_where_it_ends_with_the_adam_of_keras(options):
    # With the usual ε, a weight whose gradient is nothing but rounding would take a whole step in one direction or the other.
    # To clip by the global norm puts the rows of an embedding together; if nothing does, Keras squares them one by one.
    options = {"epsilon": 1e-3, "global_clipnorm": 0.1, **options}
    ours, theirs = (trained(kind(RATE, **options)) for kind in (FusedAdam, keras.optimizers.Adam))
    for mine, other in zip(ours.variables + ours.optimizer.variables, theirs.variables + theirs.optimizer.variables):
        if "seed" not in mine.path:
            np.testing.assert_allclose(mine.numpy(), other.numpy(), rtol=1e-4, atol=1e-6, err_msg=mine.path)


def test_it_goes_on_from_the_state_of_the_adam_of_keras(rng):
    weights = rng.normal(size=(3, 5))
    gradients = [tf.constant(each, "float32") for each in rng.normal(size=(2 * STEPS, 3, 5))]
    variable = keras.Variable(weights)
    before, after = keras.optimizers.Adam(RATE), FusedAdam(RATE)
    after.build([variable])
    for gradient in gradients[:STEPS]:
        before.apply([gradient], [variable])
    for mine, other in zip(after.variables, before.variables):
        mine.assign(other)
    for gradient in gradients[STEPS:]:
        after.apply([gradient], [variable])
    numbers = np.array([gradient.numpy() for gradient in gradients])
    np.testing.assert_allclose(variable.numpy(), adam_in_numpy(weights, numbers), rtol=1e-5, atol=1e-6)


def test_a_saved_model_has_it_again(tmp_path):
    model = trained(FusedAdam(RATE, global_clipnorm=1.0))
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert type(again.optimizer) is FusedAdam
    assert again.optimizer.get_config() == model.optimizer.get_config()
    for mine, other in zip(again.optimizer.variables, model.optimizer.variables, strict=True):
        np.testing.assert_array_equal(mine.numpy(), other.numpy())


@pytest.mark.parametrize("options, alone", [({"amsgrad": True}, True), ({}, False)])
def test_what_the_operation_cannot_do_is_done_as_keras_does_it(rng, monkeypatch, options, alone):
    monkeypatch.setattr(adam, "one_replica", lambda: alone)
    monkeypatch.setattr(FusedAdam, "_fused_step", None)
    weights = rng.normal(size=(3, 5))
    gradients = [tf.constant(each, "float32") for each in rng.normal(size=(STEPS, 3, 5))]
    ours, theirs = (stepped(kind(RATE, **options), weights, gradients) for kind in (FusedAdam, keras.optimizers.Adam))
    np.testing.assert_array_equal(ours, theirs)
