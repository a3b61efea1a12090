"""The help of every command, and the examples at its end."""

import functools
import json
import pathlib
import re
import shutil
import subprocess

import numpy as np
import pytest
from helpers import run_python

pytest.importorskip("tensorflow_text")

import tensorflow as tf
from samples import SOURCES, TARGETS, write

from keras_attn import Translator, about
from keras_attn.commands import COMMANDS


def test_help_of_every_command_needs_neither_keras_nor_tensorflow_nor_numpy(tmp_path):
    code = """if True:
        import sys
        sys.argv = ["keras-attn"]
        from keras_attn import cli
        from keras_attn.commands import COMMANDS
        for name in COMMANDS:
            try:
                cli.main([name, "--help"])
            except SystemExit as stopped:
                assert stopped.code == 0
        assert not {"numpy", "keras", "tensorflow", "matplotlib", "rich", "gradio"} & set(sys.modules)
        """
    printed = run_python(code, cwd=tmp_path)
    assert printed.count("examples:") == len(COMMANDS)


def examples_of(attempt, command):
    """The command lines at the end of a help, without what explains them."""
    _, out, _ = attempt(f"{command} --help")
    text = re.sub(r"\|\n\s+", "| ", out.partition("\nexamples:\n")[2])
    return [re.split(r"\s{3,}", line.strip())[0] for line in text.splitlines()]


def run_example(run, example, more=""):
    """Runs the parts between `|`: `keras-attn` here, and what the shell has itself in a shell."""
    passed = ""
    for stage in example.split(" | "):
        if stage.startswith("keras-attn "):
            lines = run(stage.removeprefix("keras-attn ") + more, passed)
            passed = "".join(f"{line}\n" for line in lines)
        else:
            passed = subprocess.run(["bash", "-c", stage], capture_output=True, text=True, check=True).stdout
            assert passed
    return passed


def written_by(example):
    return [pathlib.Path(name) for name in re.findall(r"--(?:output|json|plot) ([^- ]\S+)", example)]


# Those that train are smaller below, and the page of `demo` stays until it is interrupted, see `test_demo`.
WITHOUT_TRAINING = [command for command in COMMANDS if command not in ("train", "compare", "demo")]


@pytest.mark.slow
@pytest.mark.parametrize("command", WITHOUT_TRAINING)
def test_examples_work_as_they_are_printed(attempt, run, command):
    pytest.importorskip("sacrebleu")
    pytest.importorskip("rapidfuzz")
    if command == "info":
        pathlib.Path("runs/dates/saved_model/assets").mkdir(parents=True)
        pathlib.Path("runs/dates/saved_model/assets/model.json").write_text('{"name": "dates"}')
    if command == "translate":
        pathlib.Path("answers.txt").unlink()  # this is where it comes from
    examples = examples_of(attempt, command)
    assert len(examples) >= 1 and all(f"keras-attn {command}" in example for example in examples)
    for example in examples:
        printed = run_example(run, example)
        assert printed or written_by(example)
        assert all(path.exists() for path in written_by(example))


@pytest.fixture
def smaller(monkeypatch):
    """What makes a training run quick: few dates to test on, nothing traced, no pictures, no export; and options to add."""
    pytest.importorskip("babel")
    pytest.importorskip("sentencepiece")
    pytest.importorskip("sacrebleu")
    from keras_attn.training import preparing, run

    monkeypatch.setattr(preparing, "date_pairs", functools.partial(preparing.date_pairs, validation=9, test=9))
    for place, name in ((Translator, "export"), (run, "plot_attention"), (run, "plot_loss")):
        monkeypatch.setattr(place, name, lambda *arguments, **options: None)
    shutil.rmtree("runs")
    tf.config.run_functions_eagerly(True)
    yield " --pairs 200 --units 8 --embedding-units 8 --epochs 1"
    tf.config.run_functions_eagerly(False)


@pytest.mark.slow
def test_examples_of_training_work_as_they_are_printed(attempt, run, smaller):
    for name, column in (("train.de", SOURCES), ("train.en", TARGETS)):
        write(name, column)
    examples = examples_of(attempt, "train")
    assert len(examples) == 5
    for example in examples:
        run_example(run, example, smaller + (" --vocabulary-size 60" if "--tsv" in example or ".de" in example else ""))
    assert {path.name for path in pathlib.Path("runs").iterdir()} == {"dates", "pairs", "train", "again"}
    first, again = (json.loads(pathlib.Path("runs", name, "config.json").read_text()) for name in ("dates", "again"))
    assert first == again and first["train"]["seed"] == 0 and first["versions"] == about.versions()
    weights = [Translator.load(f"runs/{name}").model.get_weights() for name in ("dates", "again")]
    for one, other in zip(*weights):
        np.testing.assert_array_equal(one, other)


@pytest.mark.slow
def test_examples_of_comparing_work_as_they_are_printed(attempt, run, smaller, monkeypatch):
    """Up to the training itself, which `test_comparing` looks at."""
    from keras_attn.training import comparing

    def train_and_measure(variant, parts, texts):
        row = {"parameters": 1, "milliseconds_per_step": 1.0, "validation_loss": 1.0, "exact_match": 0.5}
        tokens = Translator(comparing.new_model(variant, *(text.vocabulary_size for text in texts)), *texts)
        return {**row, "sharpness": 0.5}, tokens.score(["1999"], ["1999-01-01"])

    monkeypatch.setattr(comparing, "_train_and_measure", train_and_measure)
    for example, task, variants in zip(examples_of(attempt, "compare"), ("dates", "pairs"), (5, 4), strict=True):
        run_example(run, example, smaller)
        found = json.loads(pathlib.Path("runs", f"compare-{task}", "compare.json").read_text())
        assert len(found["results"]) == variants and found["versions"] == about.versions()
