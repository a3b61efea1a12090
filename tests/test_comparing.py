import json

import pytest

pytest.importorskip("tensorflow_text")

from keras_attn import InputError, cli
from keras_attn.config import TrainingConfig
from keras_attn.training.comparing import table, variants

pytestmark = pytest.mark.usefixtures("unoptimized_graphs")

CONFIG = TrainingConfig()


def test_a_name_stands_for_a_score_an_alignment_and_coverage():
    found = variants(CONFIG, ["dot", "additive+local-p+coverage", "monotonic"], ["luong+input-feeding", "gnmt"])
    assert list(found)[:2] == [("dot", "luong+input-feeding"), ("additive+local-p+coverage", "luong+input-feeding")]
    variant = found["additive+local-p+coverage", "gnmt"]
    assert (variant.attention, variant.alignment, variant.coverage) == ("additive", "local-p", True)
    assert (variant.wiring, variant.input_feeding) == ("gnmt", False)
    assert found["monotonic", "luong+input-feeding"].input_feeding
    assert found["monotonic", "luong+input-feeding"].alignment == "monotonic"


def test_no_attention_stands_once_whatever_the_wirings():
    found = variants(CONFIG, ["none", "dot"], ["luong", "bahdanau"])
    assert sorted(found) == [("dot", "bahdanau"), ("dot", "luong"), ("none", "none")]


def test_what_is_said_of_the_attention_does_not_hold_for_none():
    found = variants(TrainingConfig(heads=2, attention_dropout=0.1), ["none", "dot"], ["luong"])
    assert found["dot", "luong"].heads == 2 and found["none", "none"].heads == 1


@pytest.mark.parametrize(
    "attention, wiring, sentence",
    [
        ("foo", "luong", "'foo' is no part of an attention; known are dot, scaled-dot"),
        ("dot+foo", "luong", "'foo' is no part of an attention"),
        ("dot+none", "luong", "'none' is no part of an attention; .* and none by itself"),
        ("dot+additive", "luong", "'dot.additive' names two scores"),
        ("local-p+dot+local-m", "luong", "'local-p.dot.local-m' names two scores, two alignments"),
        ("dot+coverage", "luong", "--coverage goes into an additive score"),
        ("dot", "beam", "'beam' is no wiring"),
        ("dot", "none", "'none' is no wiring"),
        ("dot", "gnmt+input-feeding", "input_feeding hands on"),
    ],
)
def test_what_does_not_go_together_is_refused_before_anything_is_trained(attention, wiring, sentence):
    with pytest.raises(InputError, match=sentence):
        variants(CONFIG, [attention], [wiring])


def test_the_table_has_a_row_for_each_variant_in_columns_of_one_width():
    row = {"parameters": 12345, "milliseconds_per_step": 12.4, "validation_loss": 0.5, "exact_match": 0.25}
    lines = table(
        [
            {"attention": "dot", "wiring": "luong", "sharpness": 0.75, **row},
            {"attention": "none", "wiring": "none", "sharpness": None, **row},
        ]
    ).splitlines()
    assert len({len(line) for line in lines}) == 1
    assert [cell.strip() for cell in lines[2].split("|")[1:-1]] == [
        *("dot", "luong", "12,345", "12", "0.5000", "25.00 %", "0.75")
    ]
    assert lines[3].endswith("| -         |")


@pytest.mark.slow
def test_compare_leaves_a_table_and_a_picture_and_keeps_an_earlier_comparison(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    command = [
        "compare",
        "--pairs",
        "200",
        "--epochs",
        "1",
        "--units",
        "16",
        "--embedding-units",
        "8",
        "--attention",
        "dot,none",
        "--wiring",
        "luong",
    ]
    assert cli.main(command) == 0
    folder = tmp_path / "runs" / "compare-dates"
    assert {path.name for path in folder.iterdir()} == {"compare.json", "compare.md", "attention.png"}
    results = json.loads((folder / "compare.json").read_text())["results"]
    assert [result["attention"] for result in results] == ["dot", "none"]
    assert results[0]["parameters"] > results[1]["parameters"] and results[0]["milliseconds_per_step"] > 0
    assert 0 < results[0]["sharpness"] <= 1 and results[1]["sharpness"] is None
    assert (folder / "compare.md").read_text() in capsys.readouterr().out
    assert cli.main(command) == 2
    assert "holds compare.json already" in capsys.readouterr().err
    assert cli.main([*command, "--overwrite"]) == 0
    first, again = results, json.loads((folder / "compare.json").read_text())["results"]
    assert [row["validation_loss"] for row in first] == [row["validation_loss"] for row in again]
