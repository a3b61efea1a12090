"""One model from several: the averages of their weights."""

import pathlib

import keras
import numpy as np

from keras_attn.built_in import folder_of
from keras_attn.errors import InputError
from keras_attn.models import AttentionSeq2Seq
from keras_attn.models.saving import load_model
from keras_attn.text import first_different_side
from keras_attn.training.checkpoint import EPOCHS, kept_epochs
from keras_attn.training.folder import clear, files_of_run
from keras_attn.translator import Translator, read_texts


def averaged(models):
    """A model whose weights are the means of those of several.

    Of use for models that are near each other, such as the last epochs of one run. Runs that began with other weights
    have nothing in common but their answers: make an `Ensemble` of them.

    Args:
        models: an iterable of `AttentionSeq2Seq`s, of which no more than two are held at a time.

    Returns:
        A new `AttentionSeq2Seq`, with means that were taken in float64.

    Raises:
        InputError: there is no model, or two of them differ in an argument.

    Source: Vaswani et al. 2017, section 6.1; Izmailov et al. 2018 (1803.05407), algorithm 1.
    """
    count = 0
    for count, model in enumerate(models, 1):
        model.build()
        if count == 1:
            config = model.get_config()
            totals = [np.zeros(weight.shape) for weight in model.get_weights()]
        _refuse_another_architecture(config, model.get_config(), count)
        for total, weight in zip(totals, model.get_weights()):
            total += weight
    if not count:
        raise InputError("An average needs one model at least, but none is given.")
    average = AttentionSeq2Seq.from_config(config)
    average.build()
    average.set_weights([total / count for total in totals])
    return average


def average_runs(paths, output, *, last=None, overwrite=False):
    """Averages the weights of models that were saved, and writes the result as a translator.

    Args:
        paths: folders that `Translator.save` or a training run wrote, or `.keras` files, such as those of epochs that a
            run kept.
        output: the folder for `Translator.load`. Its text processors are those of the first path that has them: a
            file has those beside it, or in the folder above.
        last: of each folder, average this many of the last epochs that it kept, instead of its best one.
        overwrite: whether a model that is in the output folder may be replaced.

    Returns:
        The `Translator` that was written.

    Raises:
        InputError: there is no model at a path or no text processor anywhere, the models or their text processors
            differ, or the output folder holds a model.
    """
    output = pathlib.Path(output)
    models = [model for path in paths for model in _model_files(folder_of(path), last)]
    folders = _folders_of_texts(models)
    _refuse_output(output, [*folders, *(model.parent for model in models)], overwrite)
    texts = _common_texts(folders)
    average = averaged(load_model(model) for model in models)
    translator = Translator(average, *texts)
    clear(output)
    translator.save(output)
    return translator


def _refuse_another_architecture(first, config, number):
    arguments = dict(_arguments(config))
    for name, value in _arguments(first):
        if arguments[name] != value:
            raise InputError(
                f"Only models of one architecture have an average, but {name} is {value!r} in model 1 and "
                f"{arguments[name]!r} in model {number}; take models of one run, or make an ensemble of them."
            )


def _arguments(config, whose=""):
    """Every argument of a model and of its parts (`attention.score`), but not the names that Keras gave them."""
    for name, value in config.items():
        if name in ("name", "trainable"):
            continue
        if name == "dtype":
            value = keras.dtype_policies.get(value).name
        if isinstance(value, dict) and "class_name" in value:
            yield whose + name, value["class_name"]
            yield from _arguments(value["config"], f"{whose}{name}.")
        else:
            yield whose + name, value


def _model_files(path, last):
    """The `.keras` files that a path stands for."""
    if path.suffix == ".keras" and path.is_file():
        if last is not None:
            raise InputError(f"{path} is one model, but --last is for the epochs of a run; give the folder of the run.")
        return [path]
    if last is None:
        if not (path / Translator.MODEL).is_file():
            raise InputError(
                f"{path} is neither a .keras file nor a folder with a {Translator.MODEL}; give one of these."
            )
        return [path / Translator.MODEL]
    if last < 1:
        raise InputError(f"--last is {last}, but it must be 1 or more.")
    kept = kept_epochs(path / EPOCHS)
    if len(kept) < last:
        raise InputError(
            f"--last is {last}, but {path} holds {len(kept)} kept epochs; train with --keep-epochs {last}, or give a "
            f"smaller number."
        )
    return kept[-last:]


def _refuse_output(output, folders, overwrite):
    if output.exists() and not output.is_dir():
        raise InputError(f"{output} is a file, but a model needs a folder; choose another --output.")
    if output.resolve() in {folder.resolve() for folder in folders}:
        raise InputError(f"{output} holds what the average is made from; choose another --output.")
    there = files_of_run(output)
    if there and not overwrite:
        raise InputError(
            f"{output} holds {there[0]} of another model; add --overwrite to replace that, or choose another --output."
        )


def _folders_of_texts(models):
    """Where there are text processors: beside a file, or in the folder of the run that kept it. In order, each once."""
    folders = (folder for model in models for folder in (model.parent, model.parent.parent))
    return list(dict.fromkeys(folder for folder in folders if _has_texts(folder)))


def _has_texts(folder):
    return all((folder / file).is_file() for file in Translator.TEXT.values())


def _common_texts(folders):
    """The text processors of the first folder, which must not differ from those of another."""
    if not folders:
        files = " and ".join(Translator.TEXT.values())
        raise InputError(f"None of the models has {files} beside it or in the folder above; give the folder of a run.")
    first, *others = folders
    texts = read_texts(first)
    for folder in others:
        if different := first_different_side(texts, read_texts(folder)):
            side, difference = different
            raise InputError(
                f"The models of an average share their vocabularies, but on the {side} side of {first} and "
                f"{folder}, {difference}; take models that were trained on the same text processors."
            )
    return texts
