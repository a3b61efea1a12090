"""`info`: what a folder holds."""

import json
import zipfile

from keras_attn import files
from keras_attn.about import of_run
from keras_attn.built_in import folder_of
from keras_attn.errors import InputError

HELP = "Tells what a folder of a training run or a SavedModel holds."
EXAMPLES = """\
  %(prog)s runs/dates
  %(prog)s runs/dates/saved_model --json
"""


def add_options(command):
    command.add_argument("folder", metavar="FOLDER", help="folder of a training run or of a SavedModel")
    command.add_argument("--json", action="store_true", help="as JSON")


def run(options):
    description = describe(folder_of(options.folder))
    print(json.dumps(description, indent=1, ensure_ascii=False) if options.json else _as_text(description))


def describe(folder):
    """What the files of a folder say of it, a dictionary.

    Raises:
        InputError: it is neither a training run nor a SavedModel of this package.
    """
    if (folder / "assets" / "model.json").is_file():
        return {"kind": "SavedModel", **_read(folder / "assets" / "model.json")}
    if not (folder / "model.keras").is_file():
        raise InputError(
            f"{folder} is neither a training run nor a SavedModel: it has no model.keras, no assets/model.json."
        )
    arguments = _arguments(folder / "model.keras")
    of_model = {name: value for name, value in arguments.items() if name not in ("name", "trainable", "dtype")}
    of_model["attention"] = _attention(of_model["attention"])
    for side in ("source", "target"):
        if not (folder / f"{side}_text.json").is_file():
            raise InputError(f"{folder} has no {side}_text.json, without which its model reads no text; restore it.")
    sides = {
        side: {name: value for name, value in _read(folder / f"{side}_text.json").items() if name in _OF_TEXT}
        for side in ("source", "target")
    }
    about = of_run(folder)
    return {
        "kind": "training run",
        "task": about["task"],
        **sides,
        "model": of_model,
        **_read(folder / "about.json"),
    } | {
        "quality": about["quality"],
        "training": about["training"],
    }


def _arguments(path):
    """The arguments that a saved model was made with."""
    try:
        with zipfile.ZipFile(path) as model:
            saved = json.loads(model.read("config.json"))
    except (zipfile.BadZipFile, KeyError) as error:
        raise InputError(f"{path} is no whole Keras model ({error}); copy or train it again.") from error
    if saved["class_name"] != "AttentionSeq2Seq":
        raise InputError(f"{path} holds a {saved['class_name']}, but only an AttentionSeq2Seq can be told of.")
    return saved["config"]


# What is said of a text processor; its vocabulary is too much.
_OF_TEXT = ("unit", "normalization", "lower_case")


def _attention(serialized):
    """What matters of a serialised `Attention`, or `None`."""
    if not serialized:
        return None
    config = serialized["config"]
    return {part: _layer(config[part]) for part in ("score", "alignment")} | {"heads": config["heads"]}


def _layer(serialized):
    """A serialised layer as one would make it: `DotScore(scaled=True)`."""
    of_every_layer = ("name", "trainable", "dtype")
    own = {
        name: value for name, value in serialized["config"].items() if name not in of_every_layer and value is not None
    }
    return f"{serialized['class_name']}({', '.join(f'{name}={value!r}' for name, value in own.items())})"


def _read(path):
    return files.read_json(path, missing={})


def _as_text(description, indent=""):
    lines = []
    for name, value in description.items():
        if isinstance(value, dict) and value:
            lines += [f"{indent}{name}", _as_text(value, indent + "  ")]
        elif value not in (None, {}):
            lines.append(f"{indent}{name}: {', '.join(map(str, value)) if isinstance(value, list) else value}")
    return "\n".join(lines)
