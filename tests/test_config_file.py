import json
import pathlib
import shlex
import sys

import pytest

from keras_attn import cli
from keras_attn.commands import compare, evaluate, score, train, translate
from keras_attn.commands.train import given_fields
from keras_attn.config import TASK_DEFAULTS, TrainingConfig

if sys.version_info < (3, 11):
    pytest.importorskip("tomli")


@pytest.fixture(autouse=True)
def somewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["keras-attn"])


@pytest.fixture
def options_of(monkeypatch):
    """What a command is told by a command line."""
    told = []
    for command in (train, compare, translate, evaluate, score):
        monkeypatch.setattr(command, "run", told.append)

    def options_of(line):
        assert cli.main(shlex.split(line)) == 0
        return told[-1]

    return options_of


def write(name, text):
    pathlib.Path(name).write_text(text, encoding="utf-8")


SAME = {
    "options.toml": 'units = 7\ndropout = 0.5\nreverse = true\nsource-unit = "words"\nlearning_rate = 1e-3\n',
    "options.yaml": "units: 7\ndropout: 0.5\nreverse: true\nsource-unit: words\nlearning_rate: 0.001\nema: null\n",
    "options.yml": "{units: 7, dropout: 0.5, reverse: yes, source_unit: words, learning-rate: 1e-3}\n",
    "options.json": '{"units": 7, "dropout": 0.5, "reverse": true, "source-unit": "words", "learning_rate": 1e-3, '
    '"ema": null}',
}


@pytest.mark.parametrize("name", SAME)
def test_every_format_says_what_the_command_line_says(options_of, name):
    if "y" in name:
        pytest.importorskip("yaml")
    write(name, SAME[name])
    given = options_of("train --units 7 --dropout 0.5 --reverse --source-unit words --learning-rate 1e-3")
    assert given_fields(options_of(f"train --config {name}")) == given_fields(given)
    assert given_fields(given)["units"] == 7 and len(given_fields(given)) == 5


def test_the_command_line_wins(options_of):
    write("options.toml", 'units = 7\nreverse = true\nlower-case = false\nsource-unit = "words"\n')
    for line in (
        "train --config options.toml --units 8 --no-reverse --lower-case",
        "train --units=8 --no-reverse --lower-case --config=options.toml",
    ):
        config = TrainingConfig(**given_fields(options_of(line)))
        assert (config.units, config.reverse, config.lower_case, config.source_unit) == (8, False, True, "words")


def test_the_command_line_wins_over_an_alternative_too(options_of):
    pathlib.Path("options.toml").write_text("[train]\nresume = true\n[translate]\nlexicon = 'words.tsv'\n")
    assert not options_of("train --config options.toml --overwrite").resume
    assert options_of("translate --config options.toml --model a --replace-unknown").lexicon is None


@pytest.mark.parametrize("value", [True, False])
def test_switches_go_both_ways(options_of, value):
    write("options.json", json.dumps({"reverse": value, "residual": value, "resume": value}))
    told = options_of("train --config options.json")
    assert (told.reverse, told.residual, told.resume) == (value, value, value)
    assert options_of("train --config options.json --no-reverse").reverse is False


def test_a_list_gives_an_option_several_times(options_of):
    write("options.toml", 'model = ["a", "b"]\nforbid = ["-", "--json"]\n')
    told = options_of("translate --config options.toml")
    assert (told.models, told.forbid, told.json) == (["a", "b"], ["-", "--json"], False)


def test_models_on_the_command_line_are_not_joined_by_those_of_the_file(options_of):
    write("options.toml", 'model = ["a", "b"]\nbeam = 4\n')
    for line in ("translate --config options.toml --model c", "translate --model=c --config options.toml"):
        told = options_of(line)
        assert (told.models, told.beam) == (["c"], 4)


def test_a_list_or_a_text_names_what_is_compared(options_of):
    write("options.toml", 'attention = ["dot", "none"]\nwiring = "luong,gnmt"\n')
    told = options_of("compare --config options.toml")
    assert (told.attentions, told.wirings) == (["dot", "none"], ["luong", "gnmt"])


def test_a_value_may_look_like_an_option(options_of):
    write("options.json", '{"model": "--beam", "prefix": "-1", "beam": 2}')
    told = options_of("translate --config options.json")
    assert (told.models, told.prefix, told.beam) == (["--beam"], "-1", 2)


def test_tables_are_for_their_command_and_what_is_above_them_for_all(options_of):
    write(
        "options.toml",
        'model = "runs/dates"\nbatch-size = 8\n[translate]\nbeam = 5\nbatch_size = 4\n[score]\njson = true\n',
    )
    translating, scoring = options_of("translate --config options.toml"), options_of("score --config options.toml")
    assert (translating.models, translating.beam, translating.batch_size) == (["runs/dates"], 5, 4)
    assert (scoring.models, scoring.json, scoring.batch_size) == (["runs/dates"], True, 8)
    told = options_of("evaluate --config options.toml")
    assert (told.models, told.beam, told.batch_size) == (["runs/dates"], None, 8)


def test_an_option_with_the_name_of_a_command_is_an_option(monkeypatch):
    """`--score` of `explain`."""
    told = []
    monkeypatch.setattr("keras_attn.commands.explain.run", told.append)
    write("options.toml", 'score = "cosine"\n')
    assert cli.main(["explain", "--config", "options.toml"]) == 0
    assert told[0].score == "cosine"


@pytest.mark.parametrize(
    "config",
    [
        TrainingConfig(),
        TrainingConfig(tsv="a b.tsv", wiring="gnmt", residual=False, reverse=True, ema=0.9, seed=3, dropout=0.25),
        TrainingConfig(source="-x", target="é", attention="additive", coverage=True, tokens_per_batch=100),
        TrainingConfig(**TASK_DEFAULTS["dates"], keep_epochs=2),
    ],
)
def test_the_record_of_a_run_gives_its_configuration_again(options_of, config):
    config = config.resolved()
    record = {"task": config.task, "train": config.to_dict(), "versions": {"keras_attn": "0.1.0"}}
    write("config.json", json.dumps(record))
    assert TrainingConfig(**given_fields(options_of("train --config config.json --output again"))) == config


def test_train_py_takes_a_file_too(options_of, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["train.py"])
    write("options.json", '{"units": 9}')
    assert options_of("train --config options.json").units == 9


RECORD = '{"task": "dates", "train": {"units": 7}, "versions": {}}'


@pytest.mark.parametrize(
    "name, text, line, sentence",
    [
        ("a.toml", 'colour = "red"', "train", "a.toml has 'colour', which is no option of train; see keras-attn train"),
        ("a.toml", "n-best = 5", "train", "a.toml has 'n-best', which is no option of train"),
        ("a.toml", 'texts = ["a"]', "translate --model m", "a.toml has 'texts', which is no option of translate"),
        ("a.toml", 'config = "b.toml"', "train", "a.toml has 'config', which is no option of train"),
        ("a.toml", "help = true", "train", "a.toml has 'help', which is no option of train"),
        ("a.toml", "[units]\nencoder = 7", "train", "a.toml has 'units' as {'encoder': 7}, but --units takes a value"),
        ("a.toml", "[train.units]\nencoder = 7", "train", "a.toml has 'units' as {'encoder': 7}, but --units takes"),
        ("a.toml", "tsv = ['a', 'b']", "train", "a.toml has 'tsv' as ['a', 'b'], but --tsv takes a value"),
        ("a.toml", "units = true", "train", "a.toml has 'units' as True, but --units takes a value"),
        ("a.toml", 'reverse = "yes"', "train", "a.toml has 'reverse' as 'yes', but --reverse takes true or false"),
        ("a.toml", "reverse = 1", "train", "a.toml has 'reverse' as 1, but --reverse takes true or false"),
        ("a.toml", "units 7", "train", "a.toml is not a whole toml file ("),
        ("a.json", '{"units": 7', "train", "a.json is not a whole json file ("),
        ("a.json", "[7]", "train", "a.json holds list, but it must name options and their values"),
        ("a.json", RECORD, "translate --model m", "a.json is the record of a run and has no options of translate"),
        ("a.json", RECORD, "compare", "a.json is the record of a run and has no options of compare; give it to train"),
        ("a.ini", "units = 7", "train", "a.ini is no configuration; give a .toml, .yaml or .json file"),
        ("a", "units = 7", "train", "a is no configuration; give a .toml, .yaml or .json file"),
        (None, "", "train", "a.toml cannot be read: No such file or directory"),
        ("a.toml", 'units = "many"', "train", "a.toml has 'units' as 'many', but --units takes a whole number"),
        ("a.toml", "epochs = 0", "train", "--epochs is 0, but it must be 1 or more"),
    ],
)
def test_bad_files_are_refused_in_one_sentence(name, text, line, sentence, capsys, tmp_path):
    if name:
        write(name, text)
    before = sorted(tmp_path.rglob("*"))
    try:
        status = cli.main([*line.split(), "--config", name or "a.toml"])
    except SystemExit as stopped:
        status = stopped.code
    printed = capsys.readouterr()
    assert status == 2
    assert sentence in printed.err and printed.err.count("\n") == 1 and not printed.out
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("text", ["units: [7", "a: b: c", "- units", "units"])
def test_bad_yaml_is_refused_in_one_sentence(text, capsys):
    pytest.importorskip("yaml")
    write("a.yaml", text)
    assert cli.main(["train", "--config", "a.yaml"]) == 2
    printed = capsys.readouterr().err
    assert printed.startswith("keras-attn: a.yaml ") and printed.count("\n") == 1


@pytest.mark.parametrize("name, text", [("a.yaml", ""), ("a.yaml", "# nothing yet"), ("a.toml", ""), ("a.json", "{}")])
def test_a_file_without_options_changes_nothing(name, text):
    if name == "a.yaml":
        pytest.importorskip("yaml")
    write(name, text)
    options = cli.options_of(["info", "x", "--config", name])
    assert (options.folder, options.json, options.config) == ("x", False, name)


def test_a_file_that_is_not_utf_8_is_refused(capsys):
    pathlib.Path("a.toml").write_bytes(b'tsv = "\xe9"')
    assert cli.main(["train", "--config", "a.toml"]) == 2
    assert "a.toml is not a whole toml file" in capsys.readouterr().err


def test_a_missing_reader_says_what_to_install(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "yaml", None)
    write("a.yaml", "units: 7")
    assert cli.main(["train", "--config", "a.yaml"]) == 2
    printed = capsys.readouterr().err
    assert "Reading a .yaml file needs PyYAML" in printed and "pip install PyYAML" in printed
    assert printed.count("\n") == 1


def test_config_without_a_file_is_refused_by_the_parser(capsys):
    with pytest.raises(SystemExit) as stopped:
        cli.main(["train", "--config"])
    assert stopped.value.code == 2 and "--config" in capsys.readouterr().err


@pytest.mark.parametrize("name", TASK_DEFAULTS["text"])
def test_the_help_says_what_the_task_decides(name):
    help = TrainingConfig.__dataclass_fields__[name].metadata["help"]
    of_text, of_dates = (TASK_DEFAULTS[task][name] for task in ("text", "dates"))
    assert f"(default: {of_text}; {of_dates or 'none'} for dates)" in help
