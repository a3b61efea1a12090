"""The folder of a training run: what may lie in it, and what is not lost by mistake."""

import hashlib
import json
import shutil

from keras_attn import files
from keras_attn.about import versions
from keras_attn.errors import InputError
from keras_attn.text import first_different_side
from keras_attn.training.checkpoint import EPOCHS
from keras_attn.translator import Translator, read_texts

CONFIG, METRICS, CHECKPOINT, EXPORT, LOSS = "config.json", "metrics.json", "checkpoint", "saved_model", "loss.png"
PICTURES = ("attention.png", "attention-2.png", "attention-3.png")

# Everything that a run may leave.
_WRITTEN = (CONFIG, METRICS, CHECKPOINT, EPOCHS, EXPORT, LOSS, *PICTURES, *Translator.FILES)


def refuse_another_run(folder, overwrite, resume):
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file, but a run needs a folder; choose another --output.")
    there = files_of_run(folder)
    if there and not (overwrite or resume):
        raise InputError(
            f"{folder} holds another run ({there[0]}); add --resume to go on with it or --overwrite to delete it, or "
            f"choose another --output."
        )


def refuse_other_pairs(folder, parts):
    """Raises an `InputError` where these `Split` parts hold out others than the run in the folder did when it began."""
    known = files.read_json(folder / CONFIG).get("held_out")
    if known not in (None, _held_out(parts)):  # runs of an earlier version do not say it
        raise InputError(
            f"The pairs are not those that the run in {folder} began with, so it may have seen what would be held out now; "
            f"bring them back, or give pairs that are new to it."
        )


def _held_out(parts):
    """A digest of each part that training does not see."""
    digest = lambda pairs: hashlib.sha256(json.dumps(list(map(list, pairs))).encode()).hexdigest()[:16]
    return {"validation": digest(parts.validation), "test": digest(parts.test)}


def refuse_other_texts(folder, texts):
    """Raises an `InputError` where these text processors are not those that the run in the folder began with."""
    if different := first_different_side(read_texts(folder), texts):
        side, difference = different
        raise InputError(
            f"The pairs are not those that the run in {folder} began with: on the {side} side, {difference}; bring them "
            f"back, or train anew with another --output."
        )


def files_of_run(folder):
    """The names of all that lies there and that a run may have left."""
    return [name for name in _WRITTEN if (folder / name).exists()]


def clear(folder):
    """Deletes these, and nothing else."""
    for name in files_of_run(folder):
        path = folder / name
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


def begin(folder, config, parts):
    """Leaves nothing of an earlier run in the folder but the record of the new one."""
    clear(folder)
    record = {"task": config.task, "train": config.to_dict(), "held_out": _held_out(parts), "versions": versions()}
    files.write_text(folder / CONFIG, json.dumps(record, indent=1, ensure_ascii=False) + "\n")


def contents(folder):
    """What lies there, as `(name, what it is)`."""
    known = (
        (Translator.MODEL, "the best model, for Translator.load(folder)"),
        (EPOCHS, "the last epochs, for an average or an ensemble"),
        (EXPORT, "the same for TensorFlow and TensorFlow Serving: strings in, strings out"),
        (METRICS, "these figures"),
        (LOSS, "the loss curve"),
        (PICTURES[0], "where the model looked, and two more"),
    )
    return [(name, what) for name, what in known if (folder / name).exists()]
