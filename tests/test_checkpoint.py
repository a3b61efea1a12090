import json
import math

import keras
import numpy as np
import pytest

from keras_attn import InputError
from keras_attn.training.checkpoint import (
    BestModel,
    Checkpoint,
    KeptEpochs,
    MovingAverages,
    ResumedEarlyStopping,
    best_epochs,
    kept_epochs,
)


@pytest.fixture
def model():
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile("adam", "mse")
    return model


def callbacks_of(folder):
    checkpoint = Checkpoint(folder / "checkpoint")
    return BestModel(folder / "best.keras", checkpoint.history), checkpoint


def end_epochs(callbacks, model, losses, first=0):
    """As if epochs had ended with these losses, and with weights that are their number (the first is 0)."""
    for epoch, loss in enumerate(losses, first):
        model.set_weights([np.full_like(weight, epoch) for weight in model.get_weights()])
        for callback in callbacks:
            callback.set_model(model)
            callback.on_epoch_end(epoch, {"loss": loss, "val_loss": loss})


def weights(path):
    return keras.saving.load_model(path, compile=False).get_weights()


def first_weight(path):
    return weights(path)[0].ravel()[0]


def test_the_last_epoch_and_the_best_are_kept_apart(model, tmp_path):
    end_epochs(callbacks_of(tmp_path), model, [3.0, 1.0, 2.0])
    assert first_weight(tmp_path / "checkpoint" / "model.keras") == 2
    assert first_weight(tmp_path / "best.keras") == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["best.keras", "checkpoint"]


def test_a_second_checkpoint_goes_on_where_the_first_stopped(model, tmp_path):
    end_epochs(callbacks_of(tmp_path), model, [3.0, 1.0])
    best, again = callbacks_of(tmp_path)
    assert again.epochs_done == 2
    end_epochs([best, again], model, [2.0], first=2)
    assert first_weight(tmp_path / "best.keras") == 1  # the new epoch is worse than one before the interruption
    assert json.loads((tmp_path / "checkpoint" / "progress.json").read_text())["history"]["val_loss"] == [3.0, 1.0, 2.0]


def test_the_time_before_an_interruption_counts(model, tmp_path):
    end_epochs(callbacks_of(tmp_path), model, [3.0])
    progress = tmp_path / "checkpoint" / "progress.json"
    progress.write_text(json.dumps({**json.loads(progress.read_text()), "seconds": 1000.0}))
    assert 1000 <= Checkpoint(tmp_path / "checkpoint").seconds < 1100


def test_an_epoch_without_a_number_hides_no_better_one_after_it(model, tmp_path):
    end_epochs(callbacks_of(tmp_path), model, [math.nan, 2.0])
    end_epochs(callbacks_of(tmp_path), model, [1.0], first=2)
    assert first_weight(tmp_path / "best.keras") == 2


def test_the_best_epoch_may_be_the_one_with_the_highest_value(model, tmp_path):
    def end(qualities, past, first):
        best = BestModel(tmp_path / "best.keras", {"val_bleu": past}, "val_bleu")
        for epoch, quality in enumerate(qualities, first):
            model.set_weights([np.full_like(weight, epoch) for weight in model.get_weights()])
            best.set_model(model)
            best.on_epoch_end(epoch, {"val_loss": epoch, "val_bleu": quality})

    end([3.0, 7.0, 5.0], past=[], first=0)
    assert first_weight(tmp_path / "best.keras") == 1
    end([6.0], past=[3.0, 7.0, 5.0], first=3)
    assert first_weight(tmp_path / "best.keras") == 1
    end([8.0], past=[3.0, 7.0, 5.0, 6.0], first=4)
    assert first_weight(tmp_path / "best.keras") == 4


@pytest.mark.parametrize("monitor, stops", [("val_bleu", False), ("val_token_error_rate", True)])
def test_early_stopping_knows_in_which_direction_a_value_improves(model, monitor, stops):
    callback = ResumedEarlyStopping({}, monitor=monitor, patience=1)
    callback.set_model(model)
    callback.on_train_begin()
    for epoch, value in enumerate([1.0, 2.0]):
        callback.on_epoch_end(epoch, {monitor: value})
    assert model.stop_training is stops


@pytest.mark.parametrize("kind", [Checkpoint, BestModel, KeptEpochs])
def test_a_save_that_dies_leaves_the_epoch_before(model, tmp_path, monkeypatch, kind):
    best, checkpoint = callbacks_of(tmp_path)
    kept = KeptEpochs(tmp_path / "epochs", last=1)
    end_epochs([best, kept, checkpoint], model, [3.0])

    def die(path):
        path.write_text("half a mod")
        raise KeyboardInterrupt

    monkeypatch.setattr(model, "save", die)
    (dying,) = (callback for callback in (best, kept, checkpoint) if isinstance(callback, kind))
    with pytest.raises(KeyboardInterrupt):
        end_epochs([dying], model, [1.0], first=1)
    _, again = callbacks_of(tmp_path)
    assert again.epochs_done == 1 and again.load_model() is not None
    assert first_weight(tmp_path / "best.keras") == 0
    assert [first_weight(path) for path in kept_epochs(tmp_path / "epochs")] == [0]


def test_half_a_checkpoint_is_refused(model, tmp_path):
    best, checkpoint = callbacks_of(tmp_path)
    end_epochs([best, checkpoint], model, [3.0])
    (path,) = checkpoint.folder.glob("*.keras")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(InputError, match=f"{path} is no whole Keras model"):
        checkpoint.load_model()


def test_the_last_epochs_are_kept_under_their_numbers(model, tmp_path):
    end_epochs([KeptEpochs(tmp_path, last=2)], model, [3.0, 1.0, 2.0], first=8)
    assert [path.name for path in kept_epochs(tmp_path)] == ["epoch-010.keras", "epoch-011.keras"]
    assert [first_weight(path) for path in kept_epochs(tmp_path)] == [9, 10]
    assert len(list(tmp_path.iterdir())) == 2


def test_the_thousandth_epoch_comes_after_those_before_it(model, tmp_path):
    end_epochs([KeptEpochs(tmp_path, last=2)], model, [1.0] * 3, first=997)
    end_epochs([KeptEpochs(tmp_path, last=2)], model, [1.0], first=1000)  # of a run that was resumed
    assert [path.name for path in kept_epochs(tmp_path)] == ["epoch-1000.keras", "epoch-1001.keras"]


def test_where_nothing_was_kept_there_are_no_epochs(tmp_path):
    assert kept_epochs(tmp_path / "epochs") == []


MOMENTUM = 0.7


def train(folder, epochs, *more):
    """A run of three steps an epoch, with an optimizer that keeps moving averages; it goes on with what is there."""
    checkpoint = Checkpoint(folder / "checkpoint")
    if checkpoint.epochs_done:
        model = checkpoint.load_model()
    else:
        keras.utils.set_random_seed(1)
        model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3, "tanh"), keras.layers.Dense(1)])
        model.compile(keras.optimizers.Adam(0.05, use_ema=True, ema_momentum=MOMENTUM), "mse")
    x, y = pairs(0)
    model.fit(
        x,
        y,
        batch_size=4,
        validation_data=pairs(1),
        epochs=epochs,
        initial_epoch=checkpoint.epochs_done,
        shuffle=False,
        verbose=0,
        callbacks=[
            BestModel(folder / "best.keras", checkpoint.history),
            KeptEpochs(folder / "epochs", last=9),
            MovingAverages(),
            checkpoint,
            *more,
        ],
    )
    return model, checkpoint


def pairs(seed):
    x = np.random.default_rng(seed).normal(size=(12, 2)).astype("float32")
    return x, x[:, :1] * x[:, 1:] + 1


def error(weights):
    """The mean squared error on the validation pairs, in NumPy."""
    x, y = pairs(1)
    return np.mean((np.tanh(x @ weights[0] + weights[1]) @ weights[2] + weights[3] - y) ** 2)


class WeightsOfSteps(keras.callbacks.Callback):
    def __init__(self):
        super().__init__()
        self.weights = []

    def on_train_batch_end(self, batch, logs=None):
        self.weights.append(self.model.get_weights())


def moving_averages(steps):
    """Those after each of three steps, in double precision."""
    averages, found = None, []
    for number, step in enumerate(steps, 1):
        step = [weight.astype("float64") for weight in step]
        if averages is None:
            averages = step
        averages = [MOMENTUM * average + (1 - MOMENTUM) * weight for average, weight in zip(averages, step)]
        if number % 3 == 0:
            found.append(averages)
    return found


def assert_close(found, expected):
    for weight, value in zip(found, expected, strict=True):
        np.testing.assert_allclose(weight, value, rtol=1e-5, atol=1e-6)


def test_moving_averages_are_measured_and_kept_and_the_weights_are_trained_on(tmp_path):
    steps = WeightsOfSteps()
    model, checkpoint = train(tmp_path, 3, steps)
    averages = moving_averages(steps.weights)
    kept = [weights(path) for path in kept_epochs(tmp_path / "epochs")]
    for found, expected in zip(kept, averages, strict=True):
        assert_close(found, expected)
    losses = [error(average) for average in averages]
    np.testing.assert_allclose(checkpoint.history["val_loss"], losses, rtol=1e-5)
    assert_close(weights(tmp_path / "best.keras"), averages[np.argmin(losses)])
    for found, expected in zip(weights(tmp_path / "checkpoint" / "model.keras"), steps.weights[-1], strict=True):
        np.testing.assert_array_equal(found, expected)
    assert_close(model.get_weights(), averages[-1])


class StopAtOnce(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        self.model.stop_training = True


def test_an_early_stop_leaves_the_averages_too(tmp_path):
    steps = WeightsOfSteps()
    model, _ = train(tmp_path, 3, steps, StopAtOnce())
    (averages,) = moving_averages(steps.weights)
    assert_close(model.get_weights(), averages)


def state(folder):
    model = keras.saving.load_model(folder / "checkpoint" / "model.keras")
    return [np.array(variable) for variable in (*model.variables, *model.optimizer.variables)]


@pytest.mark.slow
def test_a_run_with_moving_averages_goes_on_to_the_last_digit(tmp_path):
    train(tmp_path / "whole", 3)
    for epochs in (1, 3):
        _, checkpoint = train(tmp_path / "resumed", epochs)
    whole = Checkpoint(tmp_path / "whole" / "checkpoint")
    assert checkpoint.history == whole.history
    for found, expected in zip(state(tmp_path / "resumed"), state(tmp_path / "whole"), strict=True):
        np.testing.assert_array_equal(found, expected)
    for name in ("best.keras", *(f"epochs/epoch-00{epoch}.keras" for epoch in range(1, 4))):
        for found, expected in zip(
            weights(tmp_path / "resumed" / name), weights(tmp_path / "whole" / name), strict=True
        ):
            np.testing.assert_array_equal(found, expected)


def test_without_averages_in_the_optimizer_nothing_is_moved(model):
    callback = MovingAverages()
    callback.set_model(model)
    model.optimizer.build(model.trainable_variables)
    before = model.get_weights()
    callback.on_test_begin()
    during = model.get_weights()
    callback.on_epoch_end(0)
    for values in zip(before, during, model.get_weights(), strict=True):
        np.testing.assert_array_equal(values[0], values[1])
        np.testing.assert_array_equal(values[0], values[2])


@pytest.mark.parametrize("interrupted_after", [0, 1, 2, 3])
def test_early_stopping_counts_the_epochs_before_an_interruption(model, interrupted_after):
    losses = [3.0, 1.0, 2.0, 2.0, 2.0]  # patience 2 ends after the fourth
    stopping = ResumedEarlyStopping({"val_loss": losses[:interrupted_after]}, monitor="val_loss", patience=2)
    stopping.set_model(model)
    stopping.on_train_begin()
    for epoch in range(interrupted_after, len(losses)):
        stopping.on_epoch_end(epoch, {"val_loss": losses[epoch]})
        if model.stop_training:
            break
    assert epoch == 3


@pytest.mark.parametrize("losses, over", [([], False), ([3.0, 1.0, 2.0], False), ([3.0, 1.0, 2.0, 2.0], True)])
def test_early_stopping_knows_whether_the_past_is_reason_enough(losses, over):
    assert ResumedEarlyStopping({"val_loss": losses}, patience=2).is_over is over
    quality = {"val_bleu": [-loss for loss in losses]}
    assert ResumedEarlyStopping(quality, monitor="val_bleu", patience=2).is_over is over


@pytest.mark.parametrize(
    "losses, best",
    [
        ([3.0, 1.0, 2.0], [1]),
        ([1.0, 2.0, 1.0], [0, 2]),
        ([math.nan, 2.0], [1]),
        ([math.inf], []),
        ([math.nan], []),
        ([], []),
    ],
)
def test_of_the_best_epochs_the_last_ones_model_is_kept(model, tmp_path, losses, best):
    assert best_epochs(losses, "val_loss") == best
    assert best_epochs([-loss for loss in losses], "val_bleu") == best
    callbacks = callbacks_of(tmp_path)
    end_epochs(callbacks, model, losses)
    kept = [first_weight(tmp_path / "best.keras")] if (tmp_path / "best.keras").exists() else []
    assert kept == best[-1:]


def test_an_epoch_that_went_wrong_is_repeated(model, tmp_path):
    _, checkpoint = callbacks_of(tmp_path)
    end_epochs([checkpoint], model, [1.0, math.nan])
    assert checkpoint.epochs_done == callbacks_of(tmp_path)[1].epochs_done == 1
    assert first_weight(tmp_path / "checkpoint" / "model.keras") == 0
