import json
import os
import pathlib
import signal
import subprocess
import sys
import types

import pytest

from keras_attn import cli
from keras_attn.aligning import METHODS
from keras_attn.commands import align
from keras_attn.config import CHOICES, TASK_DEFAULTS, TrainingConfig
from keras_attn.errors import InputError
from keras_attn.evaluation import BLEU_TOKENIZERS, PRESETS
from keras_attn.layers.alignments import ALIGNMENTS
from keras_attn.layers.bridge import BRIDGES
from keras_attn.layers.scores import SCORES
from keras_attn.layers.stack import CELLS
from keras_attn.layers.wirings import WIRINGS
from keras_attn.text.processor import WRITTEN_FORMS
from keras_attn.training.measuring import MEASURES

TRAIN = pathlib.Path(__file__).parents[1] / "train.py"


@pytest.fixture(autouse=True)
def somewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "three.txt").write_text("a\nb\nc\n")
    (tmp_path / "two.txt").write_text("a\nb\n")
    (tmp_path / "two.tsv").write_text("a\tx\nb\ty\n")
    (tmp_path / "no-tab.tsv").write_text("a\tx\nno tab here\n")
    (tmp_path / "empty.tsv").write_text("")
    (tmp_path / "latin.tsv").write_bytes("a\tx\n\xe9\ty\n".encode("latin-1"))
    (tmp_path / "another" / "saved_model").mkdir(parents=True)
    (tmp_path / "another" / "precious.txt").write_text("keep me")


@pytest.mark.parametrize(
    "arguments, sentence",
    [
        ("--tsv missing.tsv", "missing.tsv is not a file"),
        ("--tsv empty.tsv", "empty.tsv is empty"),
        ("--tsv no-tab.tsv", "no-tab.tsv, line 2 has no tab"),
        ("--tsv latin.tsv", "latin.tsv, line 2 is not UTF-8"),
        ("--source three.txt --target two.txt", "three.txt has 3 lines and two.txt has 2"),
        ("--source three.txt", "--source and --target belong together"),
        ("--tsv two.tsv --dataset dates", "--dataset and --tsv both say"),
        ("--tsv two.tsv", "There are 2 different source sentences, too few"),
        ("--dataset klingon", "'klingon' is not a data set; known are dates, spa-eng, fra-eng"),
        ("--cell rnn", "--cell is 'rnn', but only gru, lstm are known"),
        ("--source-unit bytes", "--source-unit is 'bytes', but only words, characters, subwords are known"),
        ("--vocabulary-size 4", "--vocabulary-size is 4, but it must be 5 or more"),
        ("--epochs 0", "--epochs is 0, but it must be 1 or more"),
        ("--dropout 1", "--dropout is 1.0, but it must be below 1"),
        ("--ema 1", "--ema is 1.0, but it must be below 1"),
        ("--ema 0", "--ema is 0.0, but it must be above 0"),
        ("--keep-epochs -1", "--keep-epochs is -1, but it must be 0 or more"),
        ("--learning-rate 0", "--learning-rate is 0.0, but it must be above 0"),
        ("--output another", "another holds another run (saved_model)"),
        ("--output nowhere --resume", "nowhere holds no run to resume"),
        ("--output two.tsv", "two.tsv is a file, but a run needs a folder"),
        ("--attention sum", "--attention is 'sum', but only dot, scaled-dot, general"),
        ("--wiring none --heads 2", "--wiring none has no attention, so --heads does nothing"),
        ("--wiring none --attention location", "--wiring none has no attention, so --attention does nothing"),
        ("--wiring none --coverage-loss 1", "--wiring none has no attention, so --coverage-loss does nothing"),
        ("--window 5", "--window is for a local alignment, but --alignment is global"),
        ("--coverage", "--coverage goes into an additive score, but --attention is scaled-dot"),
        ("--tied-embeddings", "add --shared-vocabulary"),
        ("--wiring bahdanau --input-feeding", "input_feeding hands on the attentional vector of wiring='luong'"),
        ("--attention location --heads 2", "the location score looks at none"),
        ("--alignment monotonic --heads 2", "a monotonic alignment follows one row of weights"),
        ("--attention additive --coverage --heads 2", "coverage follows one row of weights"),
        ("--heads 3", "3 heads cannot share 128 units"),
        ("--tied-softmax --wiring gnmt", "the embedding has 64 units and the decoder 128"),
        ("--bridge copy", "the encoder's has 256 units and the decoder's 128"),
        ("--residual", "residual connections go between layers of one size"),
    ],
)
def test_bad_input_gives_one_sentence_and_status_2(arguments, sentence, capsys, tmp_path):
    before = sorted(tmp_path.rglob("*"))
    assert cli.main(["train", *arguments.split()]) == 2
    printed = capsys.readouterr()
    assert sentence in printed.err and printed.err.count("\n") == 1 and not printed.out
    assert sorted(tmp_path.rglob("*")) == before


def test_an_unknown_option_gives_status_2_and_no_traceback(capsys):
    with pytest.raises(SystemExit) as stopped:
        cli.main(["train", "--colour", "red"])
    assert stopped.value.code == 2 and "--colour" in capsys.readouterr().err


def test_what_the_system_refuses_is_told_in_one_sentence_too(monkeypatch, capsys):
    from keras_attn.training import run

    def refuse(*arguments):
        raise PermissionError(13, "Permission denied", "locked")

    monkeypatch.setattr(run, "load_parts", refuse)
    assert cli.main(["train"]) == 2
    assert capsys.readouterr().err.endswith("train: locked cannot be used: Permission denied.\n")


def test_translating_without_a_model_says_what_is_missing(capsys):
    assert cli.main(["translate", "--model", "another", "text"]) == 2
    assert "another has no model.keras" in capsys.readouterr().err


@pytest.mark.parametrize(
    "choices, known",
    [
        (CHOICES["attention"], SCORES),
        (CHOICES["alignment"], ALIGNMENTS),
        (CHOICES["wiring"], WIRINGS),
        (CHOICES["bridge"], BRIDGES),
        (CHOICES["cell"], CELLS),
        (CHOICES["normalization"], WRITTEN_FORMS),
        (CHOICES["bleu_tokenizer"], BLEU_TOKENIZERS),
        (CHOICES["measures"], PRESETS),
        (CHOICES["measures"], MEASURES),
        (align.SYMMETRIZATIONS, METHODS),
    ],
)
def test_the_options_name_what_the_library_knows(choices, known):
    assert choices == tuple(known)


def test_explain_shows_the_textbook_example_and_draws_it(capsys, tmp_path):
    assert cli.main(["explain", "--output", "steps.svg"]) == 0
    assert "context vector = [5, 6.94397194e-11, 1]" in capsys.readouterr().out
    assert (tmp_path / "steps.svg").is_file()


def test_explain_takes_vectors(capsys):
    assert (
        cli.main(["explain", "--query", "1 0", "--keys", "1 0, 0 1", "--values", "3, 4", "--score", "scaled-dot"]) == 0
    )
    assert "query: q = [1, 0]" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments, sentence",
    [
        (["text"], "takes both a text and --model"),
        (["--step", "2"], "--step is for a translation"),
        (["--model", "another", "text", "--query", "1"], "--query is for vectors of your own"),
        (["--query", "1 2"], "--query and --keys belong together"),
        (["--query", "1 2", "--keys", "1 2 3"], "The query has 2 numbers and each key 3"),
        (["--query", "", "--keys", "1"], "query is [], but it must be a vector of numbers"),
        (["--score", "additive"], "score is 'additive', but only dot, scaled-dot, cosine"),
        (["--model", "another", "text"], "another has no model.keras"),
    ],
)
def test_explain_says_what_does_not_go_together(arguments, sentence, capsys):
    assert cli.main(["explain", *arguments]) == 2
    printed = capsys.readouterr()
    assert sentence in printed.err and printed.err.count("\n") == 1 and not printed.out


def test_what_the_task_decides_is_filled_in_and_what_is_given_stays():
    config = TrainingConfig(units=7).resolved()
    assert config.dataset == "dates" and config.units == 7
    assert config.epochs == TASK_DEFAULTS["dates"]["epochs"]
    assert TrainingConfig(tsv="pairs.tsv").resolved().source_unit == "subwords"


@pytest.mark.parametrize(
    "pairs, batches, epochs, patience, dropout",
    [
        (3, 1, 8_000, 8, 0.4),
        (5_000, 100, 80, 8, 0.4),
        (10_000, 160, 50, 5, 0.4),
        (30_000, 469, 18, 3, 0.3),
        (120_000, 1_875, 14, 3, 0.15),
        (10**8, 10**6, 14, 3, 0.01),
    ],
)
def test_few_pairs_are_gone_through_more_often_and_with_more_dropout(pairs, batches, epochs, patience, dropout):
    config = TrainingConfig(tsv="pairs.tsv").resolved().suited_to(pairs, batches)
    assert (config.epochs, config.patience, config.dropout) == (epochs, patience, dropout)
    given = TrainingConfig(tsv="pairs.tsv", epochs=90, patience=2, dropout=0.0).resolved()
    assert given.suited_to(pairs, batches) == given


def test_dates_have_neither_dropout_nor_weight_decay_however_few_they_are():
    config = TrainingConfig(dataset="dates").resolved().suited_to(10, 1)
    assert (config.dropout, config.weight_decay) == (0, 0)
    assert TrainingConfig(tsv="pairs.tsv").resolved().weight_decay > 0


@pytest.mark.parametrize(
    "options, shared",
    [
        ({"dataset": "dates"}, (False, False, False)),
        ({"tsv": "a.tsv"}, (True, True, True)),
        ({"tsv": "a.tsv", "units": 64}, (True, True, True)),
        ({"tsv": "a.tsv", "units": 64, "embedding_units": 32}, (True, True, False)),
        ({"tsv": "a.tsv", "tied_softmax": False}, (True, True, False)),
        ({"tsv": "a.tsv", "tied_embeddings": False}, (True, False, True)),
        ({"tsv": "a.tsv", "shared_vocabulary": False}, (False, False, False)),
        ({"tsv": "a.tsv", "shared_vocabulary": False, "tied_softmax": True}, (False, False, True)),
        ({"tsv": "a.tsv", "source_unit": "characters"}, (False, False, False)),
        ({"tsv": "a.tsv", "source_unit": "words", "target_unit": "words"}, (False, False, False)),
        ({"dataset": "dates", "shared_vocabulary": True}, (True, True, False)),
    ],
)
def test_subwords_of_both_sides_share_what_can_be_shared(options, shared):
    config = TrainingConfig(**options).resolved()
    assert (config.shared_vocabulary, config.tied_embeddings, config.tied_softmax) == shared


@pytest.mark.parametrize(
    "options, task",
    [({}, "dates"), ({"tsv": "a/spa-eng.tsv.gz"}, "spa-eng"), ({"source": "a.de", "target": "b/train.en.gz"}, "train")],
)
def test_the_task_names_the_folder_of_the_run(options, task):
    assert TrainingConfig(**options).resolved().task == task


def test_a_configuration_survives_json():
    config = TrainingConfig(tsv="pairs.tsv", dropout=0.1).resolved()
    assert TrainingConfig(**json.loads(json.dumps(config.to_dict()))) == config


def test_every_task_default_is_a_field_with_an_open_value():
    open_fields = {name for name, value in TrainingConfig().to_dict().items() if value is None}
    for defaults in TASK_DEFAULTS.values():
        assert set(defaults) <= open_fields


def test_pairs_of_which_one_side_is_missing_are_refused():
    with pytest.raises(InputError, match="--test-source and --test-target"):
        TrainingConfig(test_target="x")


NOT_HEARD = {
    "while an object goes": """
class Passing:
    def __del__(self):
        signal.raise_signal(signal.SIGINT)

Passing()
""",
    "taken for a failure": """
try:
    signal.raise_signal(signal.SIGINT)
except:
    pass
""",
}


def test_what_fails_after_an_interruption_fails_because_of_it(monkeypatch, capsys):
    def taken_for_a_failure(options):
        try:
            cli._interrupt(signal.SIGTERM, None)
        except BaseException:
            raise ValueError("A total of 1 objects could not be loaded") from None

    monkeypatch.setattr(cli, "_heard", [])
    monkeypatch.setattr(cli.threading, "Timer", lambda *arguments: types.SimpleNamespace(start=lambda: None))
    monkeypatch.setattr("keras_attn.commands.info.run", taken_for_a_failure)
    assert cli.main(["info", "x"]) == 130
    assert capsys.readouterr().err.endswith("interrupted.\n")


@pytest.mark.parametrize("place", NOT_HEARD)
def test_an_interruption_that_nobody_hears_is_repeated(place):
    program = f"""
import signal, sys, time
sys.argv[0] = "keras-attn"  # which needs no Keras
from keras_attn import cli

def goes_on(arguments):
    exec({NOT_HEARD[place]!r})
    for _ in range(300):
        time.sleep(0.1)

cli._run = goes_on
cli.run_and_exit([])
"""
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=60).returncode == 130


@pytest.mark.parametrize("program", [["-m", "keras_attn", "train"], [TRAIN]])
def test_help_needs_neither_keras_nor_tensorflow(program):
    command = [sys.executable, "-X", "importtime", *program, "--help"]
    done = subprocess.run(command, capture_output=True, text=True)
    imported = {line.split("|")[-1].strip() for line in done.stderr.splitlines()}
    assert done.returncode == 0 and "keras_attn.config" in imported and not {"keras", "tensorflow", "numpy"} & imported


@pytest.mark.parametrize(
    "script, level, remark",
    [
        ("", "3", ""),
        ("", "0", "what a machine!\n"),
        ("raise ImportError('no such processor')", "3", "what a machine!\n"),
    ],
)
def test_tensorflows_remarks_are_shown_to_who_wants_them_and_where_it_fails(script, level, remark, tmp_path):
    (tmp_path / "tensorflow.py").write_text(f"import os\nos.write(2, b'what a machine!\\n')\n{script}\n")
    quietly = "from keras_attn.commands.quiet import import_tensorflow_quietly as quietly; quietly(); import tensorflow"
    as_a_command = f"import sys; sys.argv = ['keras-attn']; {quietly}"
    environment = os.environ | {"PYTHONPATH": str(tmp_path), "TF_CPP_MIN_LOG_LEVEL": level}
    done = subprocess.run([sys.executable, "-c", as_a_command], capture_output=True, text=True, env=environment)
    assert done.stderr.startswith(remark) and (done.stderr == remark) == (not script)


def test_a_command_writes_nothing_but_its_own():
    done = subprocess.run([sys.executable, "-m", "keras_attn", "explain"], capture_output=True, text=True)
    assert done.stdout.startswith("query") and not done.stderr


@pytest.mark.slow
def test_help_shows_every_option_and_examples():
    done = subprocess.run([sys.executable, "-m", "keras_attn", "train", "--help"], capture_output=True, text=True)
    assert done.returncode == 0
    for name in TrainingConfig().to_dict():
        assert "--" + name.replace("_", "-") in done.stdout
    assert "python -m keras_attn train --tsv pairs.tsv" in done.stdout
