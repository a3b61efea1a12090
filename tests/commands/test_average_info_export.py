"""`average`, `info` and `export`: what becomes of a run."""

import json
import pathlib

import keras
import numpy as np
import pytest

pytest.importorskip("tensorflow_text")

import tensorflow as tf
from samples import SOURCES, read, write

from keras_attn import about


@pytest.mark.slow
def test_an_average_has_the_mean_of_the_weights(run):
    epochs = [f"runs/dates/epochs/epoch-00{epoch}.keras" for epoch in (4, 5)]
    assert run(f"average {' '.join(epochs)} --output runs/late") == run("average runs/dates --last 2 --output runs/two")
    models = [
        keras.saving.load_model(path).get_weights()
        for path in (*epochs, "runs/late/model.keras", "runs/two/model.keras")
    ]
    for one, other, late, two in zip(*models):
        np.testing.assert_allclose(late, (one + other) / 2, atol=1e-6)
        np.testing.assert_array_equal(late, two)


def test_info_tells_what_a_run_holds(run):
    lines = run("info runs/dates")
    for line in ("kind: training run", "task: dates", "  unit: characters", "  units: 8"):
        assert line in lines
    assert "    score: AdditiveScore(normalized=False, coverage=False)" in lines
    assert {"format: 2", "  exact_match: 0.5", "  attention: additive"} < set(lines)
    found = json.loads("\n".join(run("info runs/dates --json")))
    assert found["quality"] == {"exact_match": 0.5}
    assert found["training"] == json.loads(pathlib.Path("runs/dates/config.json").read_text())["train"]
    assert found["versions"] == about.versions()


def test_info_leaves_out_what_an_average_does_not_say(run):
    run("average runs/dates --last 1 --output runs/one")
    lines = run("info runs/one")
    assert "kind: training run" in lines and "quality" not in lines and "" not in lines


def test_info_tells_what_a_saved_model_holds(run):
    pathlib.Path("served/assets").mkdir(parents=True)
    pathlib.Path("served/assets/model.json").write_text('{"name": "dates", "signatures": ["beam", "score"]}')
    assert run("info served") == ["kind: SavedModel", "name: dates", "signatures: beam, score"]
    assert json.loads("".join(run("info served --json")))["signatures"] == ["beam", "score"]


@pytest.mark.slow
def test_an_export_serves_what_the_command_translates(run):
    search = "--model runs/dates --beam 2 --max-length 20"
    run(f"export {search} --name mine --output served/1")
    found = json.loads("\n".join(run("info served/1 --json")))
    assert (found["name"], found["task"], found["quality"]) == ("mine", "dates", {"exact_match": 0.5})
    served = tf.saved_model.load("served/1").signatures["translate"](texts=tf.constant(SOURCES))["translations"]
    assert [text.decode() for text in served.numpy()] == run(f"translate {search} --input dates.txt")


@pytest.mark.slow
def test_a_shortlist_is_all_that_a_search_looks_at(run):
    write("pairs-of-one.tsv", ["25 12 1997\t1-7", "3 5 2024\t3-4"])
    run("shortlist --model runs/dates --tsv pairs-of-one.tsv --candidates 3 --output shortlist.json")
    shortlist = json.loads(pathlib.Path("shortlist.json").read_text())
    assert sorted(shortlist["[END]"]) == ["-", "1", "3", "4", "7"] and len(shortlist["9"]) == 3
    assert run("shortlist --model runs/dates --tsv pairs-of-one.tsv --candidates 3") == read("shortlist.json")
    line = "translate --model runs/dates --max-length 20 --input dates.txt"
    for search in ("", " --beam 3"):
        answers, others = run(f"{line}{search} --shortlist shortlist.json"), run(f"{line}{search}")
        assert {*"".join(answers)} <= {*"-1347"} and not {*"".join(others)} <= {*"-1347"}
    run("evaluate --model runs/dates --tsv pairs.tsv --shortlist shortlist.json --json figures.json --samples 9")
    assert json.loads(pathlib.Path("figures.json").read_text())["outputs"]["shortlist"] == "shortlist.json"
