"""The recipes of `recipes/`, as configurations that a benchmark may change."""

import dataclasses
import pathlib

from benchmarks.common import DATA, ROOT, Skipped

RECIPES = {path.stem: path for path in sorted((ROOT / "recipes").glob("*.toml"))}
_FILES = ("tsv", "source", "target", "validation_source", "validation_target", "test_source", "test_target")


def recipe(name, data=None, **changes):
    """The configuration of a recipe.

    Args:
        name: of `RECIPES`.
        data: a folder, in which its files are or in a folder of which they are.
        **changes: fields of `TrainingConfig`.

    Raises:
        Skipped: its files are in none of these folders.
    """
    from keras_attn.cli import options_of
    from keras_attn.commands.train import given_fields
    from keras_attn.config import TrainingConfig

    config = TrainingConfig(**given_fields(options_of(["train", "--config", str(RECIPES[name])])))
    files = [getattr(config, field) for field in (*_FILES, "test_references") if getattr(config, field)]
    if files:
        changes["data"] = str(_folder(files, pathlib.Path(data or DATA), name))
    return dataclasses.replace(config, **changes).resolved()


def _folder(files, data, name):
    folders = [data, *sorted(path for path in data.glob("*") if path.is_dir())]
    for folder in folders:
        if all((folder / file).is_file() for file in files):
            return folder
    raise Skipped(f"{', '.join(files)} of {name} are neither in {data} nor in a folder of it; give --data FOLDER")


def learned(config):
    """Trains a model as `train.py` does with this configuration, but for the folder of a run.

    Returns:
        The model after the last epoch, its two text processors, the `Split` of its pairs, and the history of the epochs.
    """
    import keras

    from keras_attn.training.building import model_to_train
    from keras_attn.training.checkpoint import MovingAverages
    from keras_attn.training.preparing import batches_of, learn_texts, load_parts
    from keras_attn.training.processor import prepare_processor

    prepare_processor(config.precision)
    keras.utils.set_random_seed(config.seed)
    parts = load_parts(config)
    texts = learn_texts(config, parts.train)
    training, validation = batches_of(config, parts, *texts)
    config = config.suited_to(training.pairs, len(training))
    model = model_to_train(config, texts, len(training))
    fitting = {"epochs": config.epochs, "shuffle": False, "verbose": 0, "callbacks": [MovingAverages()]}
    history = model.fit(training.dataset(), validation_data=validation, **fitting).history
    return model, texts, parts, history
