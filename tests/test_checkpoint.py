import json

import keras
import numpy as np
import pytest

from keras_attn.checkpoint import Checkpoint, ResumedEarlyStopping


@pytest.fixture
def model():
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile("adam", "mse")
    return model


def end_epochs(callback, model, losses, first=0):
    callback.set_model(model)
    for epoch, loss in enumerate(losses, first):
        model.set_weights([np.full_like(weight, epoch) for weight in model.get_weights()])
        callback.on_epoch_end(epoch, {"loss": loss, "val_loss": loss})


def first_weight(path):
    return keras.saving.load_model(path).get_weights()[0].ravel()[0]


def test_the_last_epoch_and_the_best_are_kept_apart(model, tmp_path):
    checkpoint = Checkpoint(tmp_path / "checkpoint", best=tmp_path / "best.keras")
    end_epochs(checkpoint, model, [3.0, 1.0, 2.0])
    assert first_weight(tmp_path / "checkpoint" / "model.keras") == 2
    assert first_weight(tmp_path / "best.keras") == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["best.keras", "checkpoint"]


def test_a_second_checkpoint_goes_on_where_the_first_stopped(model, tmp_path):
    end_epochs(Checkpoint(tmp_path / "checkpoint", tmp_path / "best.keras"), model, [3.0, 1.0])
    again = Checkpoint(tmp_path / "checkpoint", tmp_path / "best.keras")
    assert again.epochs_done == 2
    end_epochs(again, model, [2.0], first=2)
    assert first_weight(tmp_path / "best.keras") == 1  # the new epoch is worse than one before the interruption
    assert json.loads((tmp_path / "checkpoint" / "progress.json").read_text())["history"]["val_loss"] == [3.0, 1.0, 2.0]


def test_a_save_that_dies_leaves_the_epoch_before(model, tmp_path, monkeypatch):
    checkpoint = Checkpoint(tmp_path / "checkpoint", tmp_path / "best.keras")
    end_epochs(checkpoint, model, [3.0])

    def die(path):
        path.write_text("half a mod")
        raise KeyboardInterrupt

    monkeypatch.setattr(model, "save", die)
    with pytest.raises(KeyboardInterrupt):
        end_epochs(checkpoint, model, [1.0], first=1)
    again = Checkpoint(tmp_path / "checkpoint", tmp_path / "best.keras")
    assert again.epochs_done == 1 and again.load_model() is not None


@pytest.mark.parametrize("interrupted_after", [0, 1, 2, 3])
def test_early_stopping_counts_the_epochs_before_an_interruption(model, interrupted_after):
    losses = [3.0, 1.0, 2.0, 2.0, 2.0]  # patience 2 ends after the fourth
    stopping = ResumedEarlyStopping(
        {"val_loss": losses[:interrupted_after]}, monitor="val_loss", patience=2, mode="min"
    )
    stopping.set_model(model)
    stopping.on_train_begin()
    for epoch in range(interrupted_after, len(losses)):
        stopping.on_epoch_end(epoch, {"val_loss": losses[epoch]})
        if model.stop_training:
            break
    assert epoch == 3
