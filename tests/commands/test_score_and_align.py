"""`score`, `rescore`, `align` and `attend`: given targets, and where the model looks."""

import json
import pathlib
import re

import numpy as np
import pytest
from helpers import slow
from samples import SEARCH, SOURCES, TARGETS, read

from keras_attn import Attention, AttentionSeq2Seq, Translator
from keras_attn.aligning import from_pharaoh, merge


def test_scores_are_those_of_the_translator(attempt, translator):
    status, out, err = attempt("score --model runs/dates --source dates.txt --target answers.txt")
    scored = translator.score(SOURCES, read("answers.txt"))
    assert [list(map(float, line.split("\t"))) for line in out.splitlines()] == [
        pytest.approx([each.log_probability, len(each.tokens) + 1, each.perplexity], rel=1e-4, abs=1e-6)
        for each in scored
    ]
    total, tokens = sum(each.log_probability for each in scored), sum(len(each.tokens) + 1 for each in scored)
    assert status == 0
    assert err == (
        f"29 targets, {tokens} tokens with their ends: {total / tokens:.4f} nats a token, perplexity "
        f"{np.exp(-total / tokens):.4f}\n"
    )


def test_scores_of_tokens_add_up_to_that_of_the_target(run):
    for line in run("score --model runs/dates --tsv - --tokens", "1 Mai 1999\t1999-5 -0\nx\t\n"):
        score, tokens, _, each = line.split("\t")
        gains = [token.rpartition(":") for token in each.split(" ")]
        assert "".join(token for token, _, _ in gains) in ("1999-5␣-0[END]", "[END]")
        assert len(gains) == int(tokens)
        assert sum(float(gain) for _, _, gain in gains) == pytest.approx(float(score), abs=1e-3)


def test_scores_as_json_have_the_perplexity(run):
    (line,) = run("score --model runs/dates --tsv - --json", "1 Mai 1999\t1999\n")
    found = json.loads(line)
    assert (found["text"], found["tokens"]) == ("1999", ["1", "9", "9", "9"])
    assert found["perplexity"] == pytest.approx(np.exp(-found["log_probability"] / 5))


def test_an_n_best_list_is_put_in_the_order_of_the_weighted_scores(run, translator):
    candidates = [(0, "1999", -3.0), (0, "1", -2.0), (0, "", -1.0), (2, "2001-05", -0.5), (2, "7", -9.0)]
    stdin = "\n".join(f"{source} ||| {text} ||| lm: {score} ||| {score}" for source, text, score in candidates)
    new = translator.score([SOURCES[source] for source, _, _ in candidates], [text for _, text, _ in candidates])
    both = [
        (source, 0.75 * each.log_probability + 0.25 * score, text)
        for (source, text, score), each in zip(candidates, new)
    ]
    expected = sorted(both, key=lambda candidate: (candidate[0], -candidate[1]))
    lines = run("rescore --model runs/dates --source dates.txt --n-best - --weight 0.75", stdin)
    assert [line.split(" ||| ")[:2] for line in lines] == [[str(source), text] for source, _, text in expected]
    scores = [float(line.split(" ||| ")[2]) for line in lines]
    np.testing.assert_allclose(scores, [score for _, score, _ in expected], rtol=1e-4)
    assert [text for _, _, text in expected] != [text for _, text, _ in candidates]


def links_of(translation):
    """Where each target token looks most, but not at the end of the source."""
    return sorted((int(weights[:-1].argmax()), target) for target, weights in enumerate(translation.attention))


def test_alignments_are_where_the_model_looks_most(run, translator):
    lines = run("align --model runs/dates --tsv pairs.tsv")
    assert [from_pharaoh(line) for line in lines] == [links_of(each) for each in translator.score(SOURCES, TARGETS)]


def test_alignments_of_words_have_words_links_and_weights(run, translator):
    (line,) = run("align --model runs/dates --tsv - --level words --json", "5 Mai 1999\t1999 05-05\n")
    (scored,) = translator.score(["5 Mai 1999"], ["1999 05-05"])
    found = json.loads(line)
    assert (found["source"], found["target"]) == (["5", "Mai", "1999"], ["1999", "05-05"])
    words = [[0, None, 1, 1, 1, None, 2, 2, 2, 2], [0, 0, 0, 0, None, 1, 1, 1, 1, 1]]
    weights = merge(scored.attention[:, :-1], *words)
    np.testing.assert_allclose(found["weights"], weights, rtol=1e-5)
    assert found["links"] == sorted([int(row.argmax()), target] for target, row in enumerate(weights))


def test_alignments_of_both_directions_are_joined(run, translator):
    line = "align --model runs/dates --reverse-model runs/dates-reversed --tsv pairs.tsv"
    forward = [set(links_of(each)) for each in translator.score(SOURCES, TARGETS)]
    reverse = Translator.load("runs/dates-reversed").score(TARGETS, SOURCES)
    backward = [{link[::-1] for link in links_of(each)} for each in reverse]
    both, either, between = (
        [set(from_pharaoh(each)) for each in run(line + more)]
        for more in (" --symmetrize intersection", " --symmetrize union", "")
    )
    assert both == [one & other for one, other in zip(forward, backward)] and any(both)
    assert either == [one | other for one, other in zip(forward, backward)]
    assert all(one <= other <= another for one, other, another in zip(both, between, either))
    assert between not in (both, either)


def test_both_directions_are_in_the_precision_that_is_asked_for(run, monkeypatch):
    asked, load = [], Translator.load
    monkeypatch.setattr(
        Translator, "load", lambda folder, **options: asked.append(options["precision"]) or load(folder, **options)
    )
    run("align --model runs/dates --reverse-model runs/dates-reversed --tsv pairs.tsv --precision bfloat16")
    assert asked == ["bfloat16", "bfloat16"]


@pytest.mark.parametrize(
    "options, name, begins",
    [
        ("", "a.png", b"\x89PNG"),
        ("", "a.svg", b"<?xml"),
        ("", "a.html", b"<!DOCTYPE html>"),
        ("", "new/A.HTML", b"<!"),
        slow("--dark --max-length 2", "a.gif", b"GIF89a"),
        ("--lines --dark", "a.svg", b"<?xml"),
        ("--margins", "a.png", b"\x89PNG"),
    ],
)
def test_a_picture_of_where_the_model_looks(run, translator, options, name, begins):
    (written,) = run(f'attend --model runs/dates "25 décembre 1997" {options} --output {name}')
    answer = translator("25 décembre 1997")
    assert written == answer or ("--max-length" in options and answer.startswith(written))
    assert pathlib.Path(name).read_bytes().startswith(begins)


def test_a_picture_of_a_given_target(run):
    assert run('attend --model runs/dates "25 décembre 1997" 2001-02-03 --output a.html') == ["2001-02-03"]
    page = pathlib.Path("a.html").read_text(encoding="utf-8")
    assert page.count("<!DOCTYPE") == 1 and "25 décembre 1997" in page and "2001-02-03" in page


def test_a_page_shows_the_n_best(run, searcher):
    found = searcher.n_best(["25 décembre 1997"])[0]
    run(f'attend --model runs/dates "25 décembre 1997" {SEARCH} --html a.html')
    page = pathlib.Path("a.html").read_text(encoding="utf-8")
    assert len(found) == 2 and page.count("<section>") == 1
    for place, each in enumerate(found, 1):
        assert f'<h2 lang="" dir="auto">{each.text or "(empty)"}</h2>' in page
        assert f"hypothesis {place} of 2, score −{-each.score:.2f}<" in page


def test_a_page_shows_every_head(run, translator):
    texts = translator.source_text, translator.target_text
    model = AttentionSeq2Seq(
        *(text.vocabulary_size for text in texts), units=8, attention=Attention("scaled-dot", heads=2)
    )
    model.build()
    Translator(model, *texts).save("runs/heads")
    run('attend --model runs/heads "5 Mai" 19 --output a.html')
    several = Translator(model, *texts)
    (scored,) = several.score(["5 Mai"], ["19"])
    shown = re.findall(r"--w:([^\"]*)", pathlib.Path("a.html").read_text(encoding="utf-8").partition("<table>")[2])
    expected = [scored.attention, *several.head_weights(scored)]
    np.testing.assert_allclose(list(map(float, shown)), np.ravel(expected), rtol=1e-4)
