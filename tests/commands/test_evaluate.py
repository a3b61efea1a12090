"""`keras-attn evaluate`: outputs against references."""

import json
import pathlib
import re

import pytest
from samples import SOURCES, TARGETS, read, write

from keras_attn import about
from keras_attn.data import split_pairs


def test_an_evaluation_is_that_of_the_package(run, translator):
    pytest.importorskip("rapidfuzz")
    from keras_attn.evaluation import by_length, measure
    from keras_attn.significance import confidence_intervals, paired_test

    outputs, references, baseline = translator(SOURCES), [[target] for target in TARGETS], read("answers.txt")
    lines = run(
        "evaluate --model runs/dates --tsv pairs.tsv --baseline answers.txt --by-length --plot lengths.svg --json "
        "figures.json --samples 50"
    )
    found = json.loads(pathlib.Path("figures.json").read_text())
    assert found["results"] == measure(outputs, references, "strings")
    intervals = confidence_intervals(outputs, references, "strings", samples=50)
    assert found["intervals"] == {name: list(interval) for name, interval in intervals.items()}
    assert found["paired"] == paired_test(outputs, baseline, references, "strings", samples=50)
    assert found["baseline"]["results"] == measure(baseline, references, "strings")
    assert found["by_length"] == by_length(outputs, references, list(map(len, SOURCES)), "strings")
    assert found["sources"] == 29 and found["versions"] == about.versions()
    assert lines[0].split() == [
        "|",
        "measure",
        "|",
        "value",
        "|",
        "confidence",
        "interval",
        "|",
        "difference",
        "|",
        "p-value",
        "|",
    ]
    assert any(line.startswith("| source length |") for line in lines)
    assert "<svg" in pathlib.Path("lengths.svg").read_text()


def test_the_record_names_the_precision(run):
    run("evaluate --model runs/dates --tsv pairs.tsv --precision bfloat16 --json figures.json --samples 9")
    assert json.loads(pathlib.Path("figures.json").read_text())["outputs"]["precision"] == "bfloat16"


def test_figures_alone_go_to_standard_output_and_pictures_into_new_folders(run):
    pytest.importorskip("rapidfuzz")
    line = "evaluate --outputs answers.txt --tsv pairs.tsv --preset strings --samples 50 --by-length"
    lines = run(f"{line} --plot new/lengths.svg --json -")
    run(f"{line} --json figures.json")
    assert json.loads("\n".join(lines))["results"] == json.loads(pathlib.Path("figures.json").read_text())["results"]
    assert "<svg" in pathlib.Path("new/lengths.svg").read_text() and not pathlib.Path("-").exists()


def test_any_of_several_answers_is_right(run):
    pytest.importorskip("rapidfuzz")
    write("several.tsv", ["a\tx\tX", "", "b\ty", "c\tz z\tz"])
    write("outputs.txt", ["X", "Y", "z"])
    run("evaluate --outputs outputs.txt --references several.tsv --preset strings --json figures.json")
    results = json.loads(pathlib.Path("figures.json").read_text())["results"]
    assert results == {"exact_match": pytest.approx(2 / 3), "character_error_rate": pytest.approx(1 / 3)}


def was_trained_from(folder, **fields):
    """Says so in the configuration of a run."""
    path = pathlib.Path(folder, "config.json")
    record = json.loads(path.read_text())
    record["train"] |= {"dataset": None, **fields}
    path.write_text(json.dumps(record))


@pytest.mark.parametrize("part", ["validation", "test"])
def test_what_runs_held_out_is_measured_as_they_were(run, part):
    pytest.importorskip("sacrebleu")
    for folder in ("runs/dates", "runs/dates-2"):
        was_trained_from(folder, tsv="pairs.tsv", measures="text", bleu_tokenizer="char", beam=2, length_penalty=0.5)
    parts = split_pairs(list(zip(SOURCES, TARGETS)))
    write("held-out.tsv", ["\t".join(pair) for pair in getattr(parts, part)])
    models = "evaluate --model runs/dates --model runs/dates-2 --samples 10"
    found = run(f"{models} --held-out {part} --json figures.json")
    assert found == run(
        f"{models} --tsv held-out.tsv --preset text --bleu-tokenizer char --beam 2 --length-penalty 0.5 --json same.json"
    )
    figures = json.loads(pathlib.Path("figures.json").read_text())
    assert figures == json.loads(pathlib.Path("same.json").read_text())
    assert figures["sources"] == 1 and "tok:char" in figures["results"]["bleu_signature"]


def test_runs_that_were_trained_from_other_pairs_are_not_measured_on_what_one_held_out(attempt):
    was_trained_from("runs/dates", tsv="pairs.tsv")
    was_trained_from("runs/dates-2", tsv="pairs.tsv", reverse=True)
    status, _, err = attempt("evaluate --model runs/dates --model runs/dates-2 --held-out test")
    assert status == 2 and "were not trained from the same pairs (reverse is False and True)" in err


def test_outputs_are_measured_as_text_unless_told_otherwise(run):
    pytest.importorskip("sacrebleu")
    lines = run("evaluate --outputs right.txt --source dates.txt --target right.txt --bleu-tokenizer char --by-length")
    assert any(re.fullmatch(r"\| BLEU +\| 100.00 .*", line) for line in lines)
    assert any("|tok:char|" in line for line in lines)
    assert any(line.startswith("| 3 ") for line in lines)  # words: every date has three


def test_references_are_written_as_the_model_writes(run, translator):
    """Its text processor makes full-width digits narrow."""
    pytest.importorskip("rapidfuzz")
    wide = str.maketrans("0123456789", "０１２３４５６７８９")
    write("wide.tsv", [f"{source}\t{target.translate(wide)}" for source, target in zip(SOURCES, translator(SOURCES))])
    write("baseline.txt", [target.translate(wide) for target in translator(SOURCES)])
    run("evaluate --model runs/dates --tsv wide.tsv --baseline baseline.txt --json figures.json --samples 10")
    found = json.loads(pathlib.Path("figures.json").read_text())
    assert found["results"]["exact_match"] == found["baseline"]["results"]["exact_match"] == 1
