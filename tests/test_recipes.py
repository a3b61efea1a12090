"""The recipes of `recipes/`, and the benchmarks that are made of them."""

import json
import pathlib
import re
import sys

import numpy as np
import pytest

pytestmark = pytest.mark.usefixtures("unoptimized_graphs")

ROOT = pathlib.Path(__file__).parents[1]
sys.path.append(str(ROOT))

from benchmarks import ablations, quality, tutorial
from benchmarks.common import Skipped
from benchmarks.recipes import RECIPES, learned, recipe
from keras_attn.ids import END, START
from keras_attn.training.preparing import batches_of


@pytest.fixture
def data(tmp_path):
    """Files with the names that the recipes give, beside each other."""
    for text in (path.read_text() for path in RECIPES.values()):
        for name in re.findall(r'"(\S+\.gz)"', text):
            (tmp_path / name).touch()
    return tmp_path


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_is_a_configuration_whose_files_are_in_the_data_folder(data, name):
    config = recipe(name, data)
    assert config.beam and config.measures
    assert recipe(name, data, epochs=7).epochs == 7
    assert config.dataset == "dates" or any(
        config.tsv == file.name or config.source == file.name for file in data.iterdir()
    )


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_writes_its_own_folder_and_is_in_the_table(name):
    assert f'output = "runs/{name}"' in RECIPES[name].read_text()
    assert f"`{name}`" in (ROOT / "recipes" / "README.md").read_text()


def test_a_recipe_finds_its_files_one_folder_below(data):
    (data / "below").mkdir()
    for path in data.glob("*.gz"):
        path.rename(data / "below" / path.name)
    assert recipe("cmudict", data).data == str(data / "below")


@pytest.mark.slow
def test_the_losses_of_a_training_are_those_of_the_moving_averages_that_it_returns():
    config = recipe("dates", ema=0.9, pairs=200, epochs=2, units=8, embedding_units=8)
    model, texts, parts, history = learned(config)
    _, validation = batches_of(config, parts, *texts)
    evaluated = model.evaluate(validation, return_dict=True, verbose=0)
    np.testing.assert_allclose(evaluated["loss"], history["val_loss"][-1], rtol=1e-5)


def test_a_recipe_without_its_files_is_skipped_with_their_names(tmp_path):
    with pytest.raises(Skipped, match="g014b2b.train.gz, g014b2b.ref.gz of cmudict are neither in"):
        recipe("cmudict", tmp_path)


@pytest.mark.parametrize(
    "loss, verdict",
    [(1.0, "as before"), (1.02, "as before"), (1.04, "worse"), (0.9, "better"), (float("nan"), "worse")],
)
def test_a_curve_is_judged_by_its_last_epoch(loss, verdict):
    assert quality.compared([9.0, loss], [2.0, 1.0], tolerance=0.03)["verdict"] == verdict


@pytest.mark.parametrize("loss, verdict", [(0.003, "as before"), (0.007, "worse")])
def test_where_hardly_any_loss_is_left_a_share_of_it_says_nothing(loss, verdict):
    assert quality.compared([loss], [0.0026], tolerance=0.03)["verdict"] == verdict


def test_a_curve_is_compared_with_one_of_its_size_and_seed_alone(tmp_path):
    path = tmp_path / "dates.json"
    quality._store(path, "quick", 0, [2.0, 1.0])
    assert quality._stored(path, "quick", 0) == [2.0, 1.0]
    for size, seed in (("quick", 1), ("full", 0)):
        with pytest.raises(Skipped, match=f"dates.json has no curve of this size with the seed {seed}"):
            quality._stored(path, size, seed)


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_has_a_stored_curve(name):
    stored = json.loads((quality.CURVES / f"{name}.json").read_text())
    assert len(stored["quick"]["validation_loss"]) == quality._SIZES["quick"][1]


@pytest.mark.slow
def test_a_change_that_harms_learning_is_told(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(quality, "CURVES", tmp_path)
    monkeypatch.setitem(quality._SIZES, "quick", (300, 2))
    command = ["quality", "--quick", "--recipe", "dates"]
    monkeypatch.setattr(sys, "argv", [*command, "--store"])
    assert quality.main() == 0
    monkeypatch.setattr(sys, "argv", command)
    assert quality.main() == 0
    assert "as before" in capsys.readouterr().out
    stored = json.loads((tmp_path / "dates.json").read_text())
    stored["quick"]["validation_loss"][-1] *= 0.9
    (tmp_path / "dates.json").write_text(json.dumps(stored))
    assert quality.main() == 1
    assert "worse" in capsys.readouterr().out


@pytest.mark.parametrize("name", ablations.CHANGES)
def test_an_ablation_is_the_recipe_with_one_thing_changed(data, name):
    before, after = recipe("multi30k-en-de", data), recipe("multi30k-en-de", data, **ablations.CHANGES[name])
    changed = {field for field in vars(before) if getattr(before, field) != getattr(after, field)}
    assert changed <= set(ablations.CHANGES[name])
    assert bool(changed) == (name != "recipe")


def test_the_batches_of_the_tutorial_hold_each_pair_once_in_an_epoch_and_in_another_order_in_the_next(monkeypatch):
    pytest.importorskip("tensorflow_text")
    from keras_attn import learn_text_processor
    from keras_attn.data.encoded import EncodedPairs

    monkeypatch.setattr(tutorial, "_BATCH", 4)
    words = [" ".join("abcdefghij"[: 1 + number]) for number in range(10)]  # each as long as no other
    text = learn_text_processor(words, "words")
    batches = tutorial._random_batches(EncodedPairs(zip(words, words), text, text), seed=0)
    epochs = []
    for _ in range(2):
        lengths = [np.count_nonzero(source, axis=1) for (source, _), _ in batches.as_numpy_iterator()]
        assert list(map(len, lengths)) == [4, 4, 2]
        epochs.append(np.concatenate(lengths).tolist())
    assert sorted(epochs[0]) == sorted(epochs[1]) == sorted(set(epochs[0])) and epochs[0] != epochs[1]


@pytest.mark.slow
def test_the_model_of_the_tutorial_learns_what_it_is_shown():
    import keras

    keras.utils.set_random_seed(0)
    model, greedy = tutorial.tutorial_model(9, 9, units=32)
    model.optimizer.learning_rate = 0.02
    source = np.array([[5, 6, 7], [7, 5, 0], [8, 6, 5], [6, 0, 0]])
    labels = np.array([[7, 6, 5, END], [5, 7, END, 0], [5, 6, 8, END], [6, END, 0, 0]])
    target = np.concatenate([np.full((4, 1), START), labels[:, :-1]], axis=1)
    for _ in range(40):
        loss = model.train_on_batch((source, target), labels)
    assert loss < 0.05
    written = greedy(source, limit=6)
    np.testing.assert_array_equal(np.where(labels, written[:, :4], 0), labels)


@pytest.mark.slow
def test_a_recipe_and_the_model_of_a_tutorial_are_measured_on_the_same_pairs(monkeypatch, tmp_path):
    for module in ("tensorflow_text", "babel"):
        pytest.importorskip(module)
    monkeypatch.setattr(tutorial, "_UNITS", 8)
    monkeypatch.setattr(tutorial, "_EPOCHS", 1)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["tutorial", "--recipe", "dates", "--quick", "--json", "rows.json"])
    tutorial.main()
    ours, theirs = json.loads(pathlib.Path("rows.json").read_text())["rows"]
    assert (ours["name"], theirs["name"]) == ("ours", "stock-keras")
    assert 0 <= theirs["exact_match"] < 0.5 and theirs["parameters"] > 0
