"""What a training run keeps: the state from which it goes on as if nothing had happened, and its models."""

import json
import math
import pathlib
import time

import keras

from keras_attn import files
from keras_attn.models.saving import load_model
from keras_attn.training.monitoring import less_is_better

_MODEL, _PROGRESS = "model.keras", "progress.json"

# Where a run keeps its last epochs, in its folder.
EPOCHS = "epochs"


class Checkpoint(keras.callbacks.Callback):
    """Keeps the state after each epoch: the model with its optimizer, and the history so far.

    In the list of callbacks it comes after those that keep models: whoever dies between the two repeats the epoch. An
    epoch whose loss is no number is not kept.

    Args:
        folder: where the last epoch is kept; replaced as a whole, so that it is never half an epoch.

    Attributes:
        history: a dictionary of lists, one entry for each finished epoch, earlier runs included.
    """

    def __init__(self, folder):
        super().__init__()
        self.folder = pathlib.Path(folder)
        progress = self._progress()
        self.history = progress["history"]
        self._seconds_before = progress.get("seconds", 0.0)
        self._began = time.monotonic()

    @property
    def seconds(self):
        """Since the run began, without the time between an interruption and its end."""
        return self._seconds_before + time.monotonic() - self._began

    @property
    def epochs_done(self):
        return len(self.history.get("loss", ()))

    def load_model(self):
        """The compiled model as it was after the last finished epoch."""
        model = load_model(self.folder / _MODEL, compile=True)
        for state, value in zip(_random_states(model), self._progress()["random_states"], strict=True):
            state.assign(value)
        return model

    def on_epoch_end(self, epoch, logs=None):
        if not math.isfinite(logs["loss"]):
            return
        for name, value in logs.items():
            self.history.setdefault(name, []).append(float(value))
        with files.written_whole(self.folder) as unfinished:
            unfinished.mkdir()
            self.model.save(unfinished / _MODEL)
            files.write_text(unfinished / _PROGRESS, json.dumps(self._new_progress(), indent=1))

    def _new_progress(self):
        random_states = [keras.ops.convert_to_numpy(state).tolist() for state in _random_states(self.model)]
        return {"history": self.history, "random_states": random_states, "seconds": round(self.seconds, 1)}

    def _progress(self):
        return files.read_json(self.folder / _PROGRESS, missing={"history": {}})


def _random_states(model):
    """The states of the model's random generators (dropout), which a `.keras` file does not hold."""
    return [variable for variable in model.variables if variable.name == "seed_generator_state"]


class BestModel(keras.callbacks.Callback):
    """Keeps the model of the best epoch so far; of several that are equally good, of the last.

    Args:
        path: the `.keras` file.
        history: of the earlier epochs, as `Checkpoint` keeps it.
        monitor: what is best by, see `keras_attn.training.monitoring.less_is_better`.
    """

    def __init__(self, path, history, monitor="val_loss"):
        super().__init__()
        self.path = pathlib.Path(path)
        self.monitor = monitor
        self.values = list(history.get(monitor, ()))

    def on_epoch_end(self, epoch, logs=None):
        self.values.append(logs[self.monitor])
        if len(self.values) - 1 in best_epochs(self.values, self.monitor):
            _save(self.model, self.path)


def best_epochs(values, monitor):
    """The epochs, from 0, that none is better than by these values of theirs: several where they tie."""
    better = min if less_is_better(monitor) else max
    best = better((value for value in values if math.isfinite(value)), default=None)
    return [epoch for epoch, value in enumerate(values) if value == best]


class KeptEpochs(keras.callbacks.Callback):
    """Keeps the model of each of the last epochs, for an average or an ensemble of them.

    Args:
        folder: where they are kept, as `epoch-001.keras` and so on; the first epoch is 1.
        last: how many of them, at least 1.
    """

    def __init__(self, folder, last):
        super().__init__()
        self.folder = pathlib.Path(folder)
        self.last = last

    def on_epoch_end(self, epoch, logs=None):
        _save(self.model, self.folder / f"epoch-{epoch + 1:03}.keras")
        for earlier in kept_epochs(self.folder)[: -self.last]:
            earlier.unlink()


def kept_epochs(folder):
    """The files that `KeptEpochs` wrote into a folder, those of the earliest epoch first."""
    return sorted(pathlib.Path(folder).glob("epoch-*.keras"), key=lambda path: int(path.stem.partition("-")[2]))


def _save(model, path):
    with files.written_whole(path) as unfinished:
        model.save(unfinished)


class MovingAverages(keras.callbacks.Callback):
    """Measures and keeps the moving averages of the weights, while the weights themselves are trained on.

    For an optimizer with `use_ema=True`; with another one it changes nothing. The averages take the place of the
    weights when the validation begins, and give it back when this callback's turn comes at the end of the epoch: what
    stands before it in the list of callbacks sees the averages then, and what stands behind it the weights. When `fit`
    ends, by itself or early, the averages are in the model.

    The average is the weights of the first step to begin with, and after each further step
    `momentum * average + (1 - momentum) * weights`.

    (Keras's own `SwapEMAWeights` exchanges the two by adding and subtracting, which rounds the weights that are trained
    on; and after an early stop it leaves the weights of the last step.)

    Source: Polyak and Juditsky 1992; of Keras's optimizers, `use_ema`.
    """

    def __init__(self):
        super().__init__()
        self._weights = None

    def on_test_begin(self, logs=None):
        if self._weights is None:
            variables = self.model.trainable_variables
            self._weights = [keras.ops.convert_to_numpy(variable) for variable in variables]
            self.model.optimizer.finalize_variable_values(variables)
            for variable in variables:
                variable.assign(keras.ops.copy(variable))  # JAX would use up one array for weight and average

    def on_epoch_end(self, epoch, logs=None):
        if self._weights is not None:
            for variable, weight in zip(self.model.trainable_variables, self._weights):
                variable.assign(weight)
            self._weights = None


class ResumedEarlyStopping(keras.callbacks.EarlyStopping):
    """Keras's early stopping, which also counts the epochs before an interruption.

    Args:
        history: of the earlier epochs, as `Checkpoint` keeps it.
        monitor: see `keras_attn.training.monitoring.less_is_better`.
        **options: of `keras.callbacks.EarlyStopping`.
    """

    def __init__(self, history, monitor="val_loss", **options):
        super().__init__(monitor=monitor, mode="min" if less_is_better(monitor) else "max", **options)
        self.past = list(history.get(self.monitor, ()))

    @property
    def is_over(self):
        """Whether the past epochs alone are reason enough to stop, for which Keras would train one batch more."""
        best = best_epochs(self.past, self.monitor)
        return bool(best) and len(self.past) - 1 - best[0] >= self.patience

    def on_train_begin(self, logs=None):
        super().on_train_begin(logs)
        for epoch, value in enumerate(self.past):
            self.on_epoch_end(epoch, {self.monitor: value})
