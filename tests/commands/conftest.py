"""A folder with runs of random weights, in which command lines are run."""

import io
import json
import pathlib
import shlex
import shutil
import sys

import keras
import numpy as np
import pytest
from helpers import disturb_weights
from samples import SOURCES, TARGETS, write

from keras_attn import AttentionSeq2Seq, BeamSearch, GreedyDecoder, Translator, about, cli
from keras_attn.config import TrainingConfig
from keras_attn.text import learn_text_processor


@pytest.fixture(scope="module", autouse=True)
def _quick(unoptimized_graphs):
    pass


@pytest.fixture(scope="session")
def runs(tmp_path_factory):
    """A folder with the runs and files that the examples name."""
    pytest.importorskip("tensorflow_text")
    folder = tmp_path_factory.mktemp("runs")
    source, target = (learn_text_processor([*texts, "1 2"], "characters") for texts in (SOURCES, TARGETS))
    other = learn_text_processor([*SOURCES, "ж"], "characters")
    save_run(folder / "runs" / "dates", source, target, seed=7)
    save_run(folder / "runs" / "dates-2", source, target, seed=2)
    save_run(folder / "runs" / "dates-reversed", target, source, seed=3)
    save_run(folder / "runs" / "other", other, target, seed=4)
    old = folder / "runs" / "old"
    shutil.copytree(folder / "runs" / "dates", old)
    (old / "about.json").write_text('{"format": 1, "versions": {"keras_attn": "0.0.7"}}')
    write("pairs.tsv", ["\t".join(pair) for pair in zip(SOURCES, TARGETS)], folder)
    write("dates.txt", SOURCES, folder)
    write("right.txt", TARGETS, folder)
    write("answers.txt", [*TARGETS[:9], *(target[:4] for target in TARGETS[9:])], folder)
    write("two.txt", ["a", "b"], folder)
    write("no-tab.tsv", ["a\tx", "", "no tab here"], folder)
    (folder / "latin.txt").write_bytes("a\n\xe9\n".encode("latin-1"))
    return folder


def save_run(folder, source_text, target_text, seed):
    """What a training run leaves, with random weights; three epochs that differ a little."""
    keras.utils.set_random_seed(seed)
    rng = np.random.default_rng(seed)
    model = AttentionSeq2Seq(
        source_text.vocabulary_size, target_text.vocabulary_size, units=8, embedding_units=8, attention="additive"
    )
    model.build()
    disturb_weights(model, rng, 0.8)
    Translator(model, source_text, target_text).save(folder)
    (folder / "epochs").mkdir()
    for epoch in (3, 4, 5):
        disturb_weights(model, rng, 0.1)
        model.save(folder / "epochs" / f"epoch-00{epoch}.keras")
    config = TrainingConfig(units=8, embedding_units=8, attention="additive", pairs=200, epochs=1, keep_epochs=1)
    record = {"task": "dates", "train": config.resolved().to_dict(), "versions": about.versions()}
    (folder / "config.json").write_text(json.dumps(record))
    (folder / "metrics.json").write_text('{"exact_match": 0.5}')


@pytest.fixture(scope="session")
def loaded():
    return {}


@pytest.fixture(autouse=True)
def somewhere(runs, loaded, tmp_path, monkeypatch):
    """A copy of that folder; a translator is loaded once and traced once, whoever asks for it."""
    shutil.copytree(runs, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["keras-attn"])
    load = Translator.load

    def load_once(folders, batch_size=64, **options):
        options = {"search": GreedyDecoder, "replace_unknown": None, "average": "probabilities"} | options
        folders = folders if isinstance(folders, list) else [folders]
        models = [
            path.is_file() and path.read_bytes() for path in (pathlib.Path(each, "model.keras") for each in folders)
        ]
        key = repr((folders, models, sorted(options.items())))
        if key not in loaded or batch_size != 64:
            loaded[key] = load(folders, batch_size=batch_size, **options)
        return loaded[key]

    monkeypatch.setattr(Translator, "load", load_once)


@pytest.fixture
def attempt(monkeypatch, capfd):
    """Runs a command line and returns its exit status and what it printed, or gives the lines of standard output."""

    def attempt(line, stdin=""):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin.encode())))
        try:
            status = cli.main(shlex.split(line))
        except SystemExit as stopped:
            status = stopped.code
        printed = capfd.readouterr()
        return status, printed.out, printed.err

    return attempt


@pytest.fixture
def run(attempt):
    """Runs a command line that must succeed, and returns the lines of its standard output."""

    def run(line, stdin=""):
        status, out, err = attempt(line, stdin)
        assert status == 0, err
        assert not out or out.endswith("\n")
        return out.splitlines()

    return run


@pytest.fixture
def translator():
    return Translator.load("runs/dates")


@pytest.fixture
def searcher():
    """What `SEARCH` searches with."""
    return Translator.load("runs/dates", max_length=20, search=BeamSearch, width=3, count=2)
