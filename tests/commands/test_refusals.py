"""What the commands refuse, in one sentence and without losing anything."""

import pathlib
import shutil

import keras
import pytest
from samples import read, write


def contents():
    return {path: path.is_file() and path.read_bytes() for path in sorted(pathlib.Path().rglob("*"))}


@pytest.mark.parametrize(
    "line, sentence",
    [
        ("translate --model nowhere x", "nowhere has no model.keras"),
        ("translate --model runs/old x", "runs/old was written by keras_attn 0.0.7 (format 1), but this is"),
        ("translate --model runs/dates --model runs/other x", "on the source side of runs/dates and runs/other, id "),
        ("translate --model runs/dates --ensemble logarithms x", "but there is one; give --model again"),
        ("translate --model runs/dates --input missing.txt --output new/out.txt", "missing.txt is not a file"),
        ("translate --model runs/dates --input latin.txt --output new/out.txt", "latin.txt, line 2 is not UTF-8"),
        ("translate --model runs/dates --input dates.txt x", "on the command line and in --input"),
        ("translate --model runs/dates --input dates.txt --output answers.txt", "answers.txt exists already"),
        ("translate --model runs/dates --input dates.txt --output answers.txt --resume", "answers.txt exists already"),
        ("translate --model runs/dates --input dates.txt --output answers.txt/x", "answers.txt cannot be used"),
        ("translate --model runs/dates --resume", "--resume goes on with a file; add --output"),
        ("translate --model runs/dates --lexicon no-tab.tsv x", "no-tab.tsv, line 3 has no tab"),
        ("translate --model runs/dates --lexicon missing.tsv x", "missing.tsv is not a file"),
        ("translate --model runs/dates --lexicon pairs.tsv --replace-unknown x", "not allowed with argument"),
        ("translate --model runs/dates --shortlist missing.json x", "missing.json cannot be used: No such file"),
        ("translate --model runs/dates --shortlist pairs.tsv x", "pairs.tsv is no whole JSON file"),
        ("translate --model runs/dates --shortlist other.json x", "'ж' on the source side, which is no token of the"),
        (
            "translate --model runs/dates --shortlist number.json x",
            "The shortlist has 3 for '1', but it must be a list",
        ),
        ("evaluate --outputs answers.txt --tsv pairs.tsv --shortlist other.json", "--shortlist is for a search, but"),
        ("shortlist --model runs/dates --tsv pairs.tsv --output answers.txt", "answers.txt exists already"),
        ("shortlist --model runs/dates --tsv pairs.tsv --candidates -1", "candidates is -1, but it must be 0 or more"),
        ("shortlist --model nowhere --tsv pairs.tsv", "nowhere has no source_text.json"),
        ("evaluate --model runs/dates", "The right answers come from --held-out, --tsv, --source and --target, or"),
        ("evaluate --model dates --held-out test", "dates is no training run, which would have held out pairs"),
        (
            "shortlist --model runs/dates --model runs/other --tsv pairs.tsv",
            "a shortlist is of the tokens of one model",
        ),
        ("shortlist --model runs/dates", "The pairs come from --tsv, or from --source and --target"),
        ("translate --model runs/dates --beam 0 x", "--beam is 0, but it must be 1 or more"),
        ("translate --model runs/dates --beam 2 --n-best 0 x", "--n-best is 0, but it must be 1 or more"),
        ("translate --model runs/dates --beam 2 --n-best 3 x", "--beam 2 finds no more than 2; widen it"),
        ("translate --model runs/dates --n-best 3 x", "--n-best 3 needs a search that finds as many"),
        ("translate --model runs/dates --beam 2 --sample x", "--beam and --sample are two searches"),
        ("translate --model runs/dates --sample --temperature -1 x", "temperature is -1.0, but it must be above 0"),
        ("translate --model runs/dates --sample --temperature 0 x", "temperature is 0.0, but it must be above 0"),
        ("translate --model runs/dates --sample --top-p 1.5 x", "top_p is 1.5, but it must be above 0 and at most 1"),
        ("translate --model runs/dates --sample --top-k 0 x", "top_k is 0, but it must be 1 or more"),
        ("translate --model runs/dates --temperature 2 x", "--temperature is for --sample; add that"),
        ("translate --model runs/dates --seed 1 --beam 2 x", "--seed is for --sample; add that"),
        ("translate --model runs/dates --length-penalty 1 x", "--length-penalty is for --beam or --sample; add"),
        ("translate --model runs/dates --coverage-penalty 1 x", "--coverage-penalty is for --beam or --sample"),
        ("translate --model runs/dates --lookahead 3 x", "--lookahead is for --beam"),
        ("translate --model runs/dates --beam 2 --lookahead 0 x", "lookahead is 0, but it must be 1 or more"),
        ("translate --model runs/dates --beam 2 --length-penalty long x", "'long' is neither a number nor average"),
        ("translate --model runs/dates --beam 2 --length-penalty -1 x", "length_penalty is -1.0, but it must be 0"),
        ("translate --model runs/dates --beam 2 --coverage-penalty -1 x", "coverage_penalty is -1.0, but it must"),
        ("translate --model runs/dates --max-length 0 x", "max_length is 0, but it must be 1 or more"),
        ("translate --model runs/dates --min-length -1 x", "min_length is -1, but it must be 0 or more"),
        ("translate --model runs/dates --no-repeat-ngram -1 x", "no_repeat_ngram is -1, but it must be 0 or more"),
        ("translate --model runs/dates --repetition-penalty 0 x", "repetition_penalty is 0.0, but it must be above 0"),
        ("translate --model runs/dates --forbid xyz x", "'xyz' cannot be forbidden: the target has no such token"),
        ("translate --model runs/dates --forbid [END] x", "the end token [END], without which no target ends"),
        ("translate --model runs/dates --batch-size 0 x", "batch_size is 0, but it must be 1 or more"),
        ("translate --model runs/dates --window 0 x", "--window is 0, but it must be 1 or more"),
        ("translate --model runs/dates a\udcff", "'a\\udcff' is not UTF-8; convert it first"),
        ("translate x", "the following arguments are required: --model; see keras-attn translate --help"),
        ("translate --model runs/dates --beam many x", "argument --beam: invalid int value: 'many'"),
        ("score --model runs/dates", "The pairs come from --tsv, or from --source and --target"),
        ("score --model runs/dates --tsv pairs.tsv --source dates.txt --target two.txt", "give one of the two"),
        ("score --model runs/dates --source dates.txt", "--source and --target belong together"),
        ("score --model runs/dates --source - --target -", "cannot both be standard input"),
        ("score --model runs/dates --source dates.txt --target two.txt", "dates.txt has 29 lines and two.txt has 2"),
        ("score --model runs/dates --tsv no-tab.tsv --output new/s.tsv", "no-tab.tsv, line 3 has no tab"),
        ("score --model runs/dates --tsv missing.tsv --output new/s.tsv", "missing.tsv is not a file"),
        ("score --model runs/dates --tsv pairs.tsv --output answers.txt", "answers.txt exists already"),
        ("score --model runs/dates --tsv pairs.tsv --tokens --json", "not allowed with argument"),
        ("rescore --model runs/dates --source dates.txt --n-best two.txt", "two.txt, line 1 is not INDEX ||| TEXT |||"),
        ("rescore --model runs/dates --source two.txt --n-best none.txt --output new", "none.txt is not a file"),
        ("rescore --model runs/dates --source - --n-best -", "cannot both be standard input"),
        ("rescore --model runs/dates --source two.txt --n-best - --weight 2", "weight is 2.0, but it must be from 0"),
        ("rescore --model runs/dates --source two.txt --n-best - --output answers.txt", "answers.txt exists already"),
        ("align --model runs/dates --tsv pairs.tsv --symmetrize union", "joins the alignments of two models; add"),
        ("align --model runs/dates --tsv pairs.tsv --reverse-model nowhere", "nowhere has no model.keras"),
        ("align --model runs/dates --tsv pairs.tsv --output answers.txt", "answers.txt exists already"),
        ("align --model runs/dates --tsv pairs.tsv --level bytes", "invalid choice: 'bytes'"),
        ("demo --port 0", "--port is 0, but it must be from 1 to 65535"),
        ("attend --model runs/dates x", "The picture needs a place; add --output FILE"),
        ("attend --model runs/dates x --output answers.txt", "answers.txt is no picture; give a path that ends in"),
        ("attend --model runs/dates x --output picture", "picture is no picture; give a path that ends in .png"),
        ("attend --model runs/dates x --html a.png", "a.png does not end in .html"),
        ("attend --model runs/dates x y --beam 2 --output a.png", "--beam is for a search, but the target is given"),
        ("attend --model runs/dates x --beam 2 --n-best 2 --output a.png", "--n-best is for a page"),
        ("attend --model runs/dates x y --output a.gif", "A .gif shows how the model decodes, but the target is given"),
        ('attend --model runs/dates "" --output a.gif', "'' was translated in 0 steps"),
        ("attend --model runs/dates x --lines --output a.html", "--lines is not for .html"),
        ("attend --model runs/dates x --margins --output a.gif", "--margins is not for .gif"),
        ("attend --model runs/dates x --lines --margins --output a.png", "--margins belong to a heatmap"),
        ("explain --output steps.txt", "steps.txt is no picture"),
        ('explain --model runs/dates ""', "'' was translated in 0 steps, so there is none to explain"),
        ("translate --model runs/dates --resume --output - x", "--resume goes on with a file; add --output"),
        ("translate --model runs/dates --min-length 5 --max-length 3 x", "min_length is 5, but max_length 3"),
        ("evaluate --outputs - --references - --preset strings", "--outputs and --references cannot both be standard"),
        ("evaluate --outputs answers.txt --tsv pairs.tsv --json a.png --plot ./a.png", "--json and --plot both write"),
        ("train --data runs --output new", "--data is the folder of files, but none is named; add --tsv"),
        ("train --tsv none --shared-vocabulary --source-unit words --output new", "--shared-vocabulary needs one unit"),
        ("info half", "half has no source_text.json, without which its model reads no text"),
        ("explain --model runs/dates x --step 999", "step is 999, but 'x' was translated in"),
        ("explain --model runs/dates --model runs/dates-2 x", "One model is explained at a time, but these are 2"),
        ("average runs/dates --last 9 --output new", "--last is 9, but runs/dates holds 3 kept epochs"),
        ("average runs/dates --last 0 --output new", "--last is 0, but it must be 1 or more"),
        ("average runs/dates runs/dates-2 --output runs/other", "runs/other holds config.json of another model; add"),
        ("average runs/dates --output answers.txt", "answers.txt is a file, but a model needs a folder"),
        ("average nowhere --output new", "nowhere is neither a .keras file nor a folder"),
        ("average runs/dates", "the following arguments are required: --output"),
        ("export --model runs/dates --output runs/other", "runs/other exists already; add --overwrite"),
        ("export --model runs/dates --beam 0 --output new", "--beam is 0"),
        ("export --model nowhere --output new", "nowhere has no model.keras"),
        ("info nowhere", "nowhere is neither a training run nor a SavedModel"),
        ("info dates.txt", "dates.txt is neither a training run nor a SavedModel"),
        ("info broken", "broken/model.keras is no whole Keras model (File is not a zip file)"),
        ("evaluate --tsv pairs.tsv", "The outputs come from --model or from --outputs; give one of the two"),
        ("evaluate --model runs/dates --outputs answers.txt --tsv pairs.tsv", "The outputs come from --model or from"),
        ("evaluate --outputs two.txt --tsv pairs.tsv", "two.txt has 2 lines, but there are 29 sources"),
        ("evaluate --outputs answers.txt --tsv pairs.tsv --baseline two.txt", "two.txt has 2 lines, but there are 29"),
        ("evaluate --outputs answers.txt --tsv pairs.tsv --beam 4", "--beam is for a search, but --outputs are there"),
        ("evaluate --outputs answers.txt --tsv pairs.tsv --ensemble logarithms", "--ensemble is for --model; add that"),
        ("evaluate --outputs answers.txt --tsv pairs.tsv --precision float32", "--precision is for --model; add that"),
        ("translate --model runs/dates --precision int8 x", "invalid choice: 'int8'"),
        ("evaluate --outputs two.txt --references no-tab.tsv", "no-tab.tsv, line 3 has no tab"),
        (
            "evaluate --outputs two.txt --references no-tab.tsv --tsv pairs.tsv",
            "leave out --tsv, --source and --target",
        ),
        ("evaluate --model runs/dates --held-out test --tsv pairs.tsv", "--held-out has sources and answers already"),
        ("evaluate --model runs/dates --held-out test --references a.tsv", "--held-out and --references both have"),
        ("evaluate --outputs answers.txt --held-out test", "--held-out is for --model; add that"),
        ("evaluate --model nowhere --held-out test", "nowhere is no training run, which would have held out"),
        ("evaluate --outputs two.txt --tsv empty.txt", "There are no right answers to measure against"),
        ("evaluate --outputs answers.txt --tsv pairs.tsv --json right.txt", "right.txt exists already"),
        ("evaluate --outputs answers.txt --tsv pairs.tsv --plot a.txt --json new.json", "a.txt is no picture"),
        ("evaluate --outputs answers.txt --tsv pairs.tsv --samples 0", "--samples is 0, but it must be 1 or more"),
        ("evaluate --outputs answers.txt --tsv pairs.tsv --bleu-tokenizer x", "invalid choice: 'x'"),
        ("translate --model runs/dates --beam 2 --length-penalty nan x", "length_penalty is nan"),
        ("translate --model runs/dates --beam 2 --coverage-penalty inf x", "coverage_penalty is inf"),
        ("translate --model runs/dates --beam 2 --repetition-penalty nan x", "repetition_penalty is nan"),
        ("translate --model runs/dates --sample --temperature nan x", "temperature is nan"),
        ("translate --model runs/dates --sample --seed 3000000000 x", "seed is 3000000000, but it must be from 0 to"),
        ("translate --model runs/dates --beam 2 --prefix ж x", "No target can begin with 'ж', as the target has no"),
        ("attend --model runs/dates x --html a.html --output a.png", "--html and --output both say where the picture"),
        ('explain --query "1 nan" --keys "1 2"', "query is [1.0, nan], but it must be a vector of numbers"),
        ("rescore --model runs/dates --source dates.txt --n-best nan.txt", "nan.txt, line 1 is not INDEX ||| TEXT"),
        ("score --model runs/dates --tsv=", "--tsv is empty; give a file, or leave it out"),
        ("translate --model runs/dates --output= x", "--output is empty; give a file, or leave it out"),
        ("translate --model= x", "--model is empty; give a folder, or leave it out"),
        ("translate --model runs/dates --output runs --overwrite x", "runs exists already and is no ordinary file"),
        ("evaluate --outputs answers.txt --tsv pairs.tsv --json runs --overwrite", "runs exists already and is no"),
        ("export --model runs/dates --output answers.txt --overwrite", "answers.txt exists already and is no folder"),
        (
            "export --model runs/dates --output runs/other --overwrite",
            "runs/other holds something else than a SavedModel",
        ),
        ("train --epoch 3", "keras-attn train: unrecognized arguments: --epoch 3; see keras-attn train --help"),
        ("train --config half.json", "half.json has 'epochs' as 2.5, but --epochs takes a whole number"),
        ("train --dropout nan --output new", "--dropout is nan, but it must be a finite number"),
        ("train --learning-rate inf --output new", "--learning-rate is inf, but it must be a finite number"),
        ("train --seed 4294967296 --output new", "--seed is 4294967296, but it must be 4294967295 or less"),
        (
            "train --test-references missing.tsv --output new",
            "--test-references is for pairs from files, but dates come",
        ),
        ("train --source - --target - --output new", "cannot both be standard input"),
        ("train --tsv=x --output= --overwrite", "--output is empty; give a folder, or leave it out"),
        ("train --dataset= --output new", "--dataset is empty; give a name, or leave it out"),
        ("compare --attention ,", "There is nothing to compare; name an --attention and a --wiring"),
        ("compare --output dates.txt", "dates.txt is a file, but a comparison needs a folder"),
        ("compare --output compared --units 8", "compared holds compare.json already; add --overwrite"),
        ("fly", "invalid choice: 'fly'"),
        ("", "the following arguments are required: COMMAND; see keras-attn --help"),
    ],
)
def test_bad_input_gives_one_sentence_and_status_2_and_changes_nothing(attempt, line, sentence):
    pathlib.Path("empty.txt").touch()
    pathlib.Path("other.json").write_text('{"ж": []}')
    pathlib.Path("number.json").write_text('{"1": 3}')
    pathlib.Path("half.json").write_text('{"epochs": 2.5}')
    pathlib.Path("nan.txt").write_text("0 ||| 1999 ||| nan\n")
    pathlib.Path("half").mkdir()
    shutil.copy("runs/dates/model.keras", "half")
    for name in ("broken/model.keras", "compared/compare.json"):
        pathlib.Path(name).parent.mkdir()
        pathlib.Path(name).write_text("{}")
    before = contents()
    status, out, err = attempt(line)
    assert status == 2
    assert sentence in err and err.count("\n") == 1 and err.startswith("keras-attn")
    assert not out
    assert contents() == before


def test_a_foreign_model_is_named(attempt):
    pathlib.Path("foreign").mkdir()
    keras.Sequential([keras.layers.Input([1]), keras.layers.Dense(1)]).save("foreign/model.keras")
    assert "foreign/model.keras holds a Sequential, but only" in attempt("info foreign")[2]


@pytest.mark.parametrize(
    "line",
    [
        "translate --model runs/dates --input dates.txt --output answers.txt",
        "score --model runs/dates --tsv pairs.tsv --output answers.txt",
        "attend --model runs/dates 1999 --output a.html",
        "explain --output a.svg",
        "evaluate --outputs right.txt --tsv pairs.tsv --preset strings --json answers.txt",
        "average runs/dates --output runs/other",
    ],
)
def test_what_may_be_overwritten_is(attempt, run, line):
    output = line.split()[-1]
    path = pathlib.Path(output, "model.keras") if "runs" in output else pathlib.Path(output)
    if not path.exists():
        path.write_text("old")
    before = path.read_bytes()
    assert attempt(line)[0] == 2 and path.read_bytes() == before
    run(f"{line} --overwrite")
    assert path.read_bytes() != before


def test_what_was_answered_before_a_bad_line_is_kept_and_gone_on_with(attempt, run):
    pathlib.Path("in.txt").write_bytes(b"1999\n2000\n\xff\n2001\n")
    line = "translate --model runs/dates --input in.txt --window 1 --output out.txt"
    status, _, err = attempt(line)
    assert status == 2 and "in.txt, line 3 is not UTF-8" in err
    write("in.txt", ["1999", "2000", "2002", "2001"])
    assert "add --resume to go on" in attempt(line)[2]
    run(f"{line} --resume")
    assert read("out.txt") == run("translate --model runs/dates --input in.txt")


def test_a_command_that_cannot_be_gone_on_with_leaves_no_part(attempt, monkeypatch):
    def progress(iterable, *_, **options):
        yield next(iterable)
        raise KeyboardInterrupt

    monkeypatch.setattr("keras_attn.commands.score.progress", progress)
    before = contents()
    line = "score --model runs/dates --tsv pairs.tsv --output scores.tsv"
    assert attempt(line)[0] == 130 and contents() == before


@pytest.mark.parametrize(
    "file, command",
    [
        ("model.keras", "translate --model runs/dates --max-length 9 x"),
        ("model.keras", "average runs/dates --output new"),
        ("model.keras", "info runs/dates"),
        ("source_text.json", "translate --model runs/dates --max-length 9 x"),
        ("target_text.json", "average runs/dates --output new"),
        ("about.json", "translate --model runs/dates --max-length 9 x"),
        ("config.json", "evaluate --model runs/dates --held-out test"),
        ("config.json", "info runs/dates"),
        ("config.json", "train --resume --output runs/dates"),
        ("metrics.json", "export --model runs/dates --output new"),
        ("checkpoint/progress.json", "train --resume --output runs/dates"),
    ],
)
def test_half_a_file_is_refused_by_name(attempt, file, command):
    path = pathlib.Path("runs", "dates", file)
    path.parent.mkdir(exist_ok=True)
    whole = path.read_bytes() if path.exists() else b'{"history": {}}'
    path.write_bytes(whole[: len(whole) // 2])
    status, out, err = attempt(command)
    assert status == 2 and not out and f"{path} is no whole" in err and err.count("\n") == 1
    assert not pathlib.Path("new").exists()
