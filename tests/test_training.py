"""The whole way through, on small data: each of these trains a model."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import keras
import pytest
from helpers import multiplies_bfloat16, run_python

pytest.importorskip("tensorflow_text")
pytest.importorskip("babel")
pytest.importorskip("sentencepiece")
pytest.importorskip("sacrebleu")

from keras_attn import Translator, cli
from keras_attn.config import TrainingConfig
from keras_attn.training.preparing import load_parts

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("unoptimized_graphs")]

SCRIPT = pathlib.Path(__file__).parents[1] / "train.py"
TINY = ["--units", "16", "--embedding-units", "8", "--dropout", "0.1"]
WRITTEN = {
    "config.json", "metrics.json", "model.keras", "source_text.json", "target_text.json", "about.json", "checkpoint",
    "saved_model", "loss.png", "attention.png", "attention-2.png", "attention-3.png",
}  # fmt: skip


@pytest.fixture
def somewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    lines = [f"uno dos tres {i}\tone two three {i}" for i in range(40)]
    pathlib.Path("pairs.tsv").write_text("\n".join(lines), encoding="utf-8")
    return tmp_path


@pytest.fixture
def trained_alone(monkeypatch):
    """For tests of what training keeps: nothing is exported or drawn, which takes longer than the training."""
    monkeypatch.setattr(Translator, "export", lambda *_, **__: None)
    monkeypatch.setattr("keras_attn.training.run.plot_attention", lambda *_: None)


def losses(folder):
    return json.loads(pathlib.Path(folder, "checkpoint", "progress.json").read_text())["history"]["loss"]


def test_a_run_on_dates_leaves_all_that_it_announces(somewhere, capsys):
    assert cli.main(["train", "--pairs", "400", "--epochs", "1", *TINY]) == 0
    folder = somewhere / "runs" / "dates"
    assert {path.name for path in folder.iterdir()} == WRITTEN
    metrics = json.loads((folder / "metrics.json").read_text())
    assert 0 <= metrics["exact_match"] <= 1 and metrics["parameters"] > 0
    config = json.loads((folder / "config.json").read_text())
    assert config["train"]["units"] == 16 and "tensorflow" in config["versions"]
    printed = capsys.readouterr().out
    assert "2,000 unseen sources" in printed and str(pathlib.Path("runs", "dates")) in printed
    served = run_python(
        "import tensorflow as tf, tensorflow_text\n"
        "serve = tf.saved_model.load('saved_model').signatures['serving_default']\n"
        "print(serve(texts=tf.constant(['25 December 1997', '']))['translations'].numpy().tolist())",
        cwd=folder,
    )
    expected = Translator.load(folder)(["25 December 1997", ""])
    assert served.strip() == str([text.encode() for text in expected])
    command = [sys.executable, "-m", "keras_attn", "translate", "--model", str(folder), "25 December 1997", ""]
    assert subprocess.run(command, capture_output=True, text=True).stdout.splitlines() == expected


def test_a_run_with_everything_at_once_is_explained_token_by_token(somewhere, trained_alone, capsys):
    options = (
        "--wiring gnmt --layers 3 --cell lstm --attention normalized-additive --coverage --coverage-loss 0.5 --bridge mean "
        "--layer-normalization --recurrent-dropout 0.1 --token-dropout 0.1 --attention-dropout 0.1 "
        "--shared-vocabulary --tied-softmax --tied-embeddings --units 16 --embedding-units 16 --vocabulary-size 40 --epochs 1"
    )
    assert cli.main(["train", "--tsv", "pairs.tsv", *options.split()]) == 0
    source, target = (pathlib.Path("runs", "pairs", f"{side}_text.json").read_text() for side in ("source", "target"))
    assert source == target
    capsys.readouterr()
    assert cli.main(["explain", "--model", "runs/pairs", "uno dos"]) == 0
    assert "g v/‖v‖ · tanh(W q + U k + coverage w + b)" in capsys.readouterr().out


def test_one_vocabulary_for_two_units_is_refused(somewhere, capsys):
    options = ["--shared-vocabulary", "--source-unit", "words", "--target-unit", "characters"]
    assert cli.main(["train", "--tsv", "pairs.tsv", *options]) == 2
    assert "make --source-unit and --target-unit equal" in capsys.readouterr().err


def test_a_run_on_text_reports_bleu_and_chrf_translates_and_is_measured_again_from_the_command_line(
    somewhere, trained_alone, capsys
):
    assert cli.main(["train", "--tsv", "pairs.tsv", "--epochs", "2", "--vocabulary-size", "40", *TINY]) == 0
    metrics = json.loads((somewhere / "runs" / "pairs" / "metrics.json").read_text())
    assert {"bleu", "chrf", "bleu_signature", "chrf_signature", "exact_match"} <= set(metrics)
    capsys.readouterr()
    assert cli.main(["translate", "--model", "runs/pairs", "uno dos", ""]) == 0
    assert capsys.readouterr().out.count("\n") == 2
    search = ["--beam", "5", "--length-penalty", "1", "--samples", "10"]
    evaluate = ["evaluate", "--model", "runs/pairs", "--held-out", "test", *search]
    assert cli.main([*evaluate, "--json", "again.json"]) == 0
    again = json.loads(pathlib.Path("again.json").read_text())["results"]
    assert {name: again[name] for name in ("bleu", "chrf", "exact_match")} == {
        name: metrics[name] for name in ("bleu", "chrf", "exact_match")
    }
    pairs = pathlib.Path("pairs.tsv").read_text()
    pathlib.Path("pairs.tsv").write_text(pairs + "".join(f"nuevo {i}\tnew {i}\n" for i in range(200)))
    capsys.readouterr()
    for line in (evaluate, ["train", "--resume", "--output", "runs/pairs"]):
        assert cli.main(line) == 2
        assert "not those that the run in runs/pairs began with" in capsys.readouterr().err


def test_reversed_and_given_parts_are_used(somewhere, trained_alone):
    for name, rows in {"train": 30, "validation": 3, "test": 4}.items():
        pathlib.Path(f"{name}.es").write_text("".join(f"uno {name} {i}\n" for i in range(rows)))
        pathlib.Path(f"{name}.en").write_text("".join(f"one {name} {i}\n" for i in range(rows)))
    parts = []
    for prefix, name in (("", "train"), ("validation-", "validation"), ("test-", "test")):
        parts += [f"--{prefix}source", f"{name}.es", f"--{prefix}target", f"{name}.en"]
    options = ["--reverse", "--source-unit", "words", "--target-unit", "words", "--epochs", "1", *TINY]
    assert cli.main(["train", *parts, *options, "--output", "run"]) == 0
    vocabulary = json.loads(pathlib.Path("run", "source_text.json").read_text())["vocabulary"]
    assert "one" in vocabulary and "uno" not in vocabulary
    assert "validation" not in vocabulary and "test" not in vocabulary


def test_files_of_a_data_folder_and_several_right_answers(somewhere, trained_alone, capsys):
    folder = pathlib.Path("data")
    folder.mkdir()
    (folder / "train.tsv").write_text("".join(f"{'ABC'[i % 3] * (1 + i % 7)}\tAH B\n" for i in range(60)))
    (folder / "test.tsv").write_text("AB\tAH\tAH B\nBC\tK\tS IY\n")
    names = ["--data", "data", "--tsv", "train.tsv", "--test-references", "test.tsv"]
    units = ["--source-unit", "characters", "--target-unit", "words", "--measures", "pronunciations"]
    search = [
        "--monitor",
        "exact_match",
        "--patience",
        "10",
        "--beam",
        "2",
        "--epochs",
        "30",
        "--learning-rate",
        "0.02",
    ]
    assert cli.main(["train", *names, *units, *search, *TINY, "--dropout", "0", "--output", "run"]) == 0
    metrics = json.loads(pathlib.Path("run", "metrics.json").read_text())
    assert metrics["word_error_rate"] == 0.5 and metrics["phone_error_rate"] > 0 and metrics["beam"] == 2
    history = json.loads(pathlib.Path("run", "checkpoint", "progress.json").read_text())["history"]
    assert len(history["val_exact_match"]) < 30  # nothing is better than all, so it stops early
    printed = capsys.readouterr().out
    assert "50.00 % word error rate" in printed and "(K or S IY)" in printed


def test_turned_pairs_are_split_by_what_the_model_reads(somewhere):
    rows = [f"one {i % 90}\tuno {i % 60}" for i in range(180)]
    pathlib.Path("turned.tsv").write_text("\n".join(rows))
    parts = load_parts(TrainingConfig(tsv="turned.tsv", reverse=True).resolved())
    sources = [{source for source, _ in part} for part in parts]
    assert all(source.startswith("uno") for source in set.union(*sources))
    assert sum(map(len, sources)) == 60


def test_for_a_model_that_lowers_them_capitals_make_no_other_sentence(somewhere):
    pathlib.Path("capitals.tsv").write_text("\n".join(f"{word} {i}\t{i}" for i in range(90) for word in ("One", "one")))
    parts = load_parts(TrainingConfig(tsv="capitals.tsv", lower_case=True).resolved())
    assert [len({target for _, target in part}) for part in parts] == [82, 4, 4]


@pytest.mark.parametrize("data", [{"tsv": "pairs.tsv"}, {"dataset": "dates", "pairs": 50}])
def test_the_seed_does_not_decide_what_is_held_out(somewhere, data):
    parts = [load_parts(TrainingConfig(**data, seed=seed).resolved()) for seed in (0, 1)]
    assert all(list(one) == list(other) for one, other in zip(*parts))


def test_another_run_is_kept_unless_it_may_be_overwritten(somewhere, trained_alone, capsys):
    run = ["train", "--pairs", "200", "--epochs", "1", *TINY, "--output", "run"]
    assert cli.main([*run, "--keep-epochs", "1"]) == 0
    assert pathlib.Path("run", "epochs", "epoch-001.keras").is_file()
    pathlib.Path("run", "notes.txt").write_text("mine")
    before = pathlib.Path("run", "model.keras").read_bytes()
    assert cli.main(run) == 2
    assert "--resume" in capsys.readouterr().err
    assert pathlib.Path("run", "model.keras").read_bytes() == before
    assert cli.main([*run, "--overwrite", "--seed", "1"]) == 0
    assert not pathlib.Path("run", "epochs").exists()
    assert pathlib.Path("run", "notes.txt").read_text() == "mine"
    assert cli.main([*run, "--resume", "--epochs", "3"]) == 2
    assert "--epochs is 3, but the run in run has 1" in capsys.readouterr().err


def test_training_ends_where_the_loss_is_no_number(somewhere, capsys):
    run = ["train", "--pairs", "300", "--epochs", "9", *TINY, "--learning-rate", "1e38", "--output", "run"]
    assert cli.main(run) == 2
    printed = capsys.readouterr()
    assert "Nothing was learned: the loss is no number; lower --learning-rate" in printed.err
    assert "Epoch 1/9" in printed.out and "Epoch 2/9" not in printed.out
    assert not pathlib.Path("run", "checkpoint").exists()


@pytest.mark.parametrize(
    "options, second_epoch_is_kept",
    [("", True), ("--ema 0.9 --keep-epochs 2", False)],  # or its models alone, which are written before it
)
def test_an_interrupted_run_goes_on_as_if_nothing_had_happened(
    somewhere, trained_alone, capsys, options, second_epoch_is_kept
):
    from keras_attn.training import checkpoint

    run = ["train", "--pairs", "300", "--epochs", "3", *TINY, *options.split()]
    assert cli.main([*run, "--output", "whole"]) == 0
    keep = checkpoint.Checkpoint.on_epoch_end

    def interrupt_at_the_second(self, epoch, logs=None):
        if epoch == 0 or second_epoch_is_kept:
            keep(self, epoch, logs)
        if epoch == 1:
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checkpoint.Checkpoint, "on_epoch_end", interrupt_at_the_second)
        assert cli.main([*run, "--output", "interrupted"]) == 130
    assert "--output interrupted --resume" in capsys.readouterr().err

    def interrupt(config):
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("keras_attn.training.run.load_parts", interrupt)
        assert cli.main([*run, "--output", "interrupted", "--overwrite"]) == 130
    assert "interrupted." in (err := capsys.readouterr().err) and "--resume" not in err  # it is the earlier run still
    assert isinstance(Translator.load("interrupted")("1 May 1999"), str)
    assert cli.main(["train", "--output", "interrupted", "--resume"]) == 0
    assert losses("interrupted") == losses("whole")
    assert models("interrupted") == models("whole")
    found = models("whole")
    trained = found.pop("checkpoint/model.keras")
    if not options:
        assert found == {"model.keras": trained}
    else:
        assert list(found) == ["epochs/epoch-002.keras", "epochs/epoch-003.keras", "model.keras"]
        assert found["model.keras"] == found["epochs/epoch-003.keras"] != trained


def test_a_run_that_was_interrupted_in_its_first_epoch_goes_on_with_the_same_pairs_alone(somewhere, capsys):
    def interrupt(*arguments):
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("keras_attn.training.run._fit", interrupt)
        assert cli.main(["train", "--tsv", "pairs.tsv", "--vocabulary-size", "40", *TINY]) == 130
    pairs = pathlib.Path("pairs.tsv").read_text()
    pathlib.Path("pairs.tsv").write_text(pairs + "".join(f"nuevo {i}\tnew {i}\n" for i in range(200)))
    capsys.readouterr()
    assert cli.main(["train", "--resume", "--output", "runs/pairs"]) == 2
    assert "not those that the run in runs/pairs began with" in capsys.readouterr().err


def models(folder):
    """The weights of every model in a folder, by the model's path."""
    return {
        path.relative_to(folder).as_posix(): [
            weight.tobytes() for weight in keras.saving.load_model(path).get_weights()
        ]
        for path in sorted(pathlib.Path(folder).rglob("*.keras"))
    }


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_leaves_a_usable_checkpoint_and_the_command_that_goes_on(somewhere, number):
    command = [sys.executable, SCRIPT, "--pairs", "2000", "--epochs", "50", *TINY, "--output", "run"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=os.environ)
    deadline = time.monotonic() + 120
    while not pathlib.Path("run", "checkpoint", "progress.json").exists() and time.monotonic() < deadline:
        time.sleep(0.2)
    process.send_signal(number)
    _, printed = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert "Go on with: python train.py --output run --resume" in printed and "Traceback" not in printed
    assert len(losses("run")) >= 1
    assert isinstance(Translator.load("run")("1 May 1999"), str)


@pytest.mark.slow
def test_products_that_round_leave_a_model_much_like_one_in_float32(somewhere):
    options = ["--tsv", "pairs.tsv", "--epochs", "1", "--vocabulary-size", "40", *TINY]
    code = """if True:
        import sys
        from keras_attn import Translator, cli
        Translator.export = lambda *_, **__: None
        sys.exit(cli.main(sys.argv[1:]))
        """
    run_python(code, "train", *options, "--precision", "bfloat16_products", "--output", "rounded", cwd=somewhere)
    run_python(code, "train", *options, "--output", "full", cwd=somewhere)
    rounded, full = (Translator.load(name).model for name in ("rounded", "full"))
    assert {layer.dtype_policy.name for layer in rounded._flatten_layers()} == {"float32"}
    distances = [abs(one - other).max() for one, other in zip(rounded.get_weights(), full.get_weights())]
    assert max(distances) < 0.05
    assert (max(distances) > 0) == multiplies_bfloat16()


def test_a_run_in_bfloat16_leaves_a_model_in_float32(somewhere, trained_alone):
    options = ["--tsv", "pairs.tsv", "--epochs", "1", "--vocabulary-size", "40", *TINY]
    policy = keras.config.dtype_policy()
    assert cli.main(["train", *options, "--precision", "mixed_bfloat16", "--output", "half"]) == 0
    assert cli.main(["train", *options, "--output", "full"]) == 0
    assert keras.config.dtype_policy() == policy
    halves, full = (Translator.load(name).model for name in ("half", "full"))
    trained = keras.saving.load_model(somewhere / "half" / "checkpoint" / "model.keras")
    assert trained.dtype_policy.name == "mixed_bfloat16"
    assert {layer.dtype_policy.name for layer in halves._flatten_layers()} == {"float32"}
    distances = [abs(one - other).max() for one, other in zip(halves.get_weights(), full.get_weights())]
    assert 0 < max(distances) < 0.05


def test_weight_decay_leaves_smaller_weights(somewhere, trained_alone):
    def size(*options):
        command = ["train", "--tsv", "pairs.tsv", "--epochs", "2", *TINY, *options, "--output", "run", "--overwrite"]
        assert cli.main(command) == 0
        return sum((weights**2).sum() for weights in Translator.load("run").model.get_weights())

    assert size("--weight-decay", "9") < 0.99 * size()
