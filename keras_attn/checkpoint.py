"""Training that can be interrupted at any moment and goes on as if nothing had happened."""

import json
import pathlib
import shutil

import keras

from keras_attn import files

_MODEL, _PROGRESS = "model.keras", "progress.json"


class Checkpoint(keras.callbacks.Callback):
    """Keeps the model after each epoch, with its optimizer and the history so far; and the best one apart.

    Args:
        folder: where the last epoch is kept; replaced as a whole, so that it is never half an epoch.
        best: file for the model with the lowest validation loss so far.

    Attributes:
        history: a dictionary of lists, one entry for each finished epoch, earlier runs included.
    """

    def __init__(self, folder, best):
        super().__init__()
        self.folder = pathlib.Path(folder)
        self.best = pathlib.Path(best)
        self.history = self._progress()["history"]

    @property
    def epochs_done(self):
        return len(self.history.get("loss", ()))

    def load_model(self):
        """The compiled model as it was after the last finished epoch."""
        model = keras.saving.load_model(self.folder / _MODEL)
        for state, value in zip(_random_states(model), self._progress()["random_states"], strict=True):
            state.assign(value)
        return model

    def on_epoch_end(self, epoch, logs=None):
        for name, value in logs.items():
            self.history.setdefault(name, []).append(float(value))
        with files.written_whole(self.folder) as unfinished:
            unfinished.mkdir()
            self.model.save(unfinished / _MODEL)
            files.write_text(unfinished / _PROGRESS, json.dumps(self._new_progress(), indent=1))
        losses = self.history["val_loss"]
        if losses[-1] == min(losses):
            with files.written_whole(self.best) as unfinished:
                shutil.copyfile(self.folder / _MODEL, unfinished)

    def _new_progress(self):
        random_states = [keras.ops.convert_to_numpy(state).tolist() for state in _random_states(self.model)]
        return {"history": self.history, "random_states": random_states}

    def _progress(self):
        path = self.folder / _PROGRESS
        if not path.exists():
            return {"history": {}}
        return json.loads(path.read_text(encoding="utf-8"))


def _random_states(model):
    """The states of the model's random generators (dropout), which a `.keras` file does not hold."""
    return [variable for variable in model.variables if variable.name == "seed_generator_state"]


class ResumedEarlyStopping(keras.callbacks.EarlyStopping):
    """Keras's early stopping, which also counts the epochs before an interruption.

    Args:
        history: of the earlier epochs, as `Checkpoint` keeps it.
        **options: of `keras.callbacks.EarlyStopping`.
    """

    def __init__(self, history, **options):
        super().__init__(**options)
        self.past = list(history.get(self.monitor, ()))

    def on_train_begin(self, logs=None):
        super().on_train_begin(logs)
        for epoch, value in enumerate(self.past):
            self.on_epoch_end(epoch, {self.monitor: value})
