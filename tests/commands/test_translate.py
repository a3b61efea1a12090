"""`keras-attn translate`: from texts to translations, in their order, also after an interruption."""

import itertools
import json
import os
import pathlib
import re
import shlex
import subprocess
import sys

import numpy as np
import pytest
from samples import SEARCH, SOURCES, read, write

from keras_attn import Ensemble, Translator, cli, products
from keras_attn.ids import SPECIAL_TOKENS

TEXTS = [*SOURCES[:6], "", "what?", "   ", *SOURCES[6:12]]


def test_translate_keeps_the_order_and_the_empty_lines(attempt, translator):
    status, out, err = attempt("translate --model runs/dates", "\n".join(TEXTS))
    assert (status, err) == (0, "")
    assert out.splitlines() == translator(TEXTS)
    assert len(set(out.splitlines())) > 8 and out.splitlines()[6] == out.splitlines()[8] == ""


def test_texts_come_from_the_arguments_a_file_or_standard_input(run):
    write("in.txt", TEXTS)
    write("windows.txt", [f"{text}\r" for text in TEXTS])
    expected = run("translate --model runs/dates", "\n".join(TEXTS) + "\n")
    assert run(shlex.join(["translate", "--model", "runs/dates", *TEXTS])) == expected
    assert run("translate --model runs/dates --input in.txt") == expected
    assert run("translate --model runs/dates --input windows.txt --window 2") == expected
    assert run("translate --model runs/dates --input in.txt --output new/out.txt") == []
    assert read("new/out.txt") == expected
    assert os.listdir("new") == ["out.txt"]


@pytest.mark.parametrize("line", ["translate --model runs/dates", "score --model runs/dates --tsv -"])
def test_nothing_in_nothing_out(attempt, line):
    assert attempt(line) == (0, "", "")


def test_nothing_in_gives_an_empty_file(run):
    run("translate --model runs/dates --output out.txt")
    assert pathlib.Path("out.txt").read_bytes() == b""


def test_a_closed_standard_input_is_empty(monkeypatch, capfd):
    monkeypatch.setattr(sys, "stdin", None)
    assert cli.main(["translate", "--model", "runs/dates"]) == 0
    assert capfd.readouterr() == ("", "")


@pytest.mark.slow
def test_models_compute_in_the_precision_that_is_asked_for(run, monkeypatch):
    half = Translator.load("runs/dates", precision="bfloat16")
    assert run("translate --model runs/dates --precision bfloat16 --input dates.txt") == half(SOURCES)
    together = Translator.load(["runs/dates", "runs/dates-2"], precision="bfloat16")
    both = "--model runs/dates --model runs/dates-2"
    assert run(f"translate {both} --precision bfloat16 --input dates.txt") == together(SOURCES)
    half.save("runs/half")
    full = Translator.load("runs/half", precision="float32")
    assert run("translate --model runs/half --input dates.txt") == half(SOURCES) != full(SOURCES)
    assert run("translate --model runs/half --precision float32 --input dates.txt") == full(SOURCES)
    asked = []
    monkeypatch.setattr(products, "let_products_round", lambda: asked.append(True))
    assert run("translate --model runs/half --precision bfloat16_products --input dates.txt") == half(SOURCES)
    assert asked == [True]


def test_n_best_lists_are_written_as_moses_writes_them(run, searcher):
    found = searcher.n_best(TEXTS)
    expected = [
        f"{number} ||| {each.text} ||| {each.score:.6f}" for number, several in enumerate(found) for each in several
    ]
    assert run(f"translate --model runs/dates {SEARCH}", "\n".join(TEXTS)) == expected
    assert [line.split(" ||| ")[0] for line in expected] == [
        str(number) for number, text in enumerate(TEXTS) for _ in range(2 if text.strip() else 1)
    ]


def test_json_lines_tell_tokens_scores_and_attention(run):
    lines = run(f"translate --model runs/dates {SEARCH} --json", "\n".join(TEXTS))
    found = [json.loads(line) for line in lines]
    assert [each["source"] for each in found] == [n for n, t in enumerate(TEXTS) for _ in range(2 if t.strip() else 1)]
    for each in found:
        assert "".join(each["tokens"]).replace("[UNK]", "").split() == each["text"].split()
        assert len(each["source_tokens"]) == len(TEXTS[each["source"]].strip()) + 1
        assert each["source_tokens"][-1] == "[END]"
        assert len(each["token_log_probabilities"]) == len(each["tokens"])
        attention = np.reshape(each["attention"], [len(each["tokens"]), len(each["source_tokens"])])
        np.testing.assert_allclose(attention.sum(1), 1, atol=1e-5)
        assert each["log_probability"] <= sum(each["token_log_probabilities"]) + 1e-5


@pytest.mark.slow
def test_every_target_begins_with_the_prefix(run):
    lines = run("translate --model runs/dates --max-length 20 --prefix 19", "\n".join(TEXTS))
    assert [line.startswith("19") for line in lines] == [bool(text.strip()) for text in TEXTS]


@pytest.mark.slow
def test_forbidden_tokens_are_not_written(run):
    line = "translate --model runs/dates --max-length 20 --beam 1"
    before = "".join(run(line, "\n".join(TEXTS)))
    first, second = sorted(set(before) - {" "})[:2]
    after = "".join(run(f"{line} --forbid={first} --forbid={second}", "\n".join(TEXTS)))
    assert after and not {first, second} & set(after)


@pytest.mark.slow
def test_samples_depend_on_the_seed(run):
    line = "translate --model runs/dates --max-length 20 --sample --n-best 3 --top-k 5 --temperature 1.5 --seed"
    once, again, other = (run(f"{line} {seed}", "\n".join(SOURCES[:5])) for seed in (1, 1, 2))
    assert once == again != other and len(once) == 15


def test_samples_are_ranked_as_asked(run):
    line = "translate --model runs/dates --max-length 20 --sample --n-best 3 --length-penalty average --json"
    found = [json.loads(each) for each in run(line, "\n".join(SOURCES[:3]))]
    for each in found:
        lengths = (len(each["tokens"]), len(each["tokens"]) + 1)  # cut off, or with its end
        means = (each["log_probability"] / max(length, 1) for length in lengths)
        assert any(each["score"] == pytest.approx(mean, rel=1e-4) for mean in means)
    scores = [each["score"] for each in found]
    assert all(sorted(scores[at : at + 3], reverse=True) == scores[at : at + 3] for at in (0, 3, 6))


@pytest.mark.slow
def test_unknown_tokens_are_looked_up_in_the_lexicon(run, translator):
    """Where every other token is forbidden, the model can only write unknown ones."""
    everything = [token for token in translator.target_text.tokens if token not in SPECIAL_TOKENS]
    pathlib.Path("only-unknown.json").write_text(
        json.dumps({"model": "runs/dates", "forbid": everything, "min-length": 1, "max-length": 4})
    )
    line = "translate --config only-unknown.json --input dates.txt"
    looked_at = [
        [source[np.argmax(weights[:-1])] for weights in json.loads(found)["attention"]]
        for source, found in zip(SOURCES, run(f"{line} --json"))
    ]
    assert len(set(map(tuple, looked_at))) > 9
    words = {character: f"<{character}>" for character in sorted(set(itertools.chain(*looked_at)) - {" "})[::2]}
    write("lexicon.tsv", map("\t".join, words.items()))
    copied, translated = run(f"{line} --replace-unknown"), run(f"{line} --lexicon lexicon.tsv")
    assert [text.split() for text in copied] == ["".join(each).split() for each in looked_at]
    expected = ["".join(words.get(character, character) for character in each) for each in looked_at]
    assert [text.split() for text in translated] == [text.split() for text in expected]


@pytest.mark.slow
def test_several_models_translate_together(run, translator):
    found = run("translate --model runs/dates --model runs/dates-2 --ensemble logarithms --input dates.txt")
    both = [Translator.load(f"runs/{name}").model for name in ("dates", "dates-2")]
    together = Translator(Ensemble(both, "logarithms"), translator.source_text, translator.target_text)
    assert found == together(SOURCES) != translator(SOURCES)


def interrupt_after(monkeypatch, answers):
    def progress(iterable, *_, **options):
        yield from itertools.islice(iterable, answers)
        raise KeyboardInterrupt

    monkeypatch.setattr("keras_attn.commands.translate.progress", progress)


@pytest.mark.parametrize("answers", [0, 7])
@pytest.mark.parametrize("options", ["", SEARCH, "--overwrite"])
def test_an_interrupted_translation_goes_on_as_it_says(attempt, run, monkeypatch, options, answers):
    line = f"translate --model runs/dates --input dates.txt --window 3 {options}"
    run(f"{line} --output whole.txt")
    if "--overwrite" in options:
        write("out.txt", ["an earlier one"])
    with monkeypatch.context() as interrupted:
        interrupt_after(interrupted, answers)
        status, out, err = attempt(f"{line} --output out.txt")
    assert (status, out) == (130, "")
    assert pathlib.Path("out.txt").exists() == ("--overwrite" in options)
    told = re.fullmatch(r"\nkeras-attn translate: interrupted\. Go on with: keras-attn (.*)\n", err)[1]
    run(told)
    assert pathlib.Path("out.txt").read_bytes() == pathlib.Path("whole.txt").read_bytes()
    assert not list(pathlib.Path().glob("out.txt.*"))


def test_what_follows_a_double_dash_stays_a_text_when_it_goes_on(attempt, run, monkeypatch):
    line = "translate --model runs/dates --output out.txt -- -1 --json"
    with monkeypatch.context() as interrupted:
        interrupt_after(interrupted, 1)
        told = attempt(line)[2].partition("Go on with: keras-attn ")[2]
    run(told)
    assert read("out.txt") == run("translate --model runs/dates -- -1 --json")


def test_an_interrupted_print_has_nothing_to_go_on_with(attempt, monkeypatch):
    interrupt_after(monkeypatch, 2)
    status, out, err = attempt("translate --model runs/dates --input dates.txt")
    assert (status, out.count("\n")) == (130, 2) and err == "\nkeras-attn translate: interrupted.\n"


def test_a_reader_who_has_seen_enough_ends_it_quietly(monkeypatch, capfd):
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as closed:
        monkeypatch.setattr(sys, "stdout", closed)
        assert cli.main(["translate", "--model", "runs/dates", "--input", "dates.txt"]) == 0
    assert capfd.readouterr() == ("", "")


def test_what_the_terminal_cannot_show_is_told_in_one_sentence(monkeypatch, capfd):
    with open(os.devnull, "w", encoding="ascii") as ascii_only:
        monkeypatch.setattr(sys, "stdout", ascii_only)
        assert cli.main(["explain", "--model", "runs/dates", "25 décembre 1997"]) == 2
    assert re.fullmatch("keras-attn explain: .* cannot be written in ascii; set .*\n", capfd.readouterr().err)


def shell(script):
    environment = {**os.environ, "PYTHONPATH": str(pathlib.Path(__file__).parents[1])}
    script = script.replace("keras-attn", f"{sys.executable} -m keras_attn")
    return subprocess.run(["bash", "-c", script], capture_output=True, text=True, env=environment, timeout=300)


@pytest.mark.slow
def test_a_pipeline_passes_on_nothing_but_translations(translator):
    done = shell("printf '25 décembre 1997\\n\\n1 Mai 1999\\n' | keras-attn translate --model runs/dates | cat")
    assert done.stdout.split("\n")[:-1] == translator(["25 décembre 1997", "", "1 Mai 1999"])
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_head_ends_a_pipeline_quietly(translator):
    """A line has thousands of characters, and a pipe holds 65,536 of them."""
    write("many.txt", SOURCES * 10)
    script = 'keras-attn translate --model runs/dates --input many.txt --json | head -1; echo "${PIPESTATUS[0]}"'
    done = shell(script)
    line, status = done.stdout.splitlines()
    assert json.loads(line)["text"] == translator(SOURCES[0]) and status == "0"
    assert "Traceback" not in done.stderr and "Pipe" not in done.stderr


@pytest.mark.slow
def test_a_closed_standard_output_is_no_trouble():
    done = shell("keras-attn info runs/dates <&- >&-")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
