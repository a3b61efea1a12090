import importlib.util
import itertools
import json
import pathlib
import subprocess
import sys
import types

import numpy as np
import pytest

ROOT = pathlib.Path(__file__).parents[1]
sys.path.append(str(ROOT))

from benchmarks import common, joeynmt, sentences
from benchmarks.data import training_batches

TINY_RIVAL = f"""
import itertools, sys
sys.path.append({str(ROOT)!r})
from benchmarks.common import Skipped, serve

def prepare(options):
    print("a library says hello")
    if options.get("missing"):
        raise Skipped("it is not installed")
    rounds = itertools.count(1)
    def measure():
        if next(rounds_left, None) is None:
            raise SystemExit
        return {{"speed": options["speed"] * next(rounds)}}
    rounds_left = iter(range(options.get("dies_after", 99)))
    return measure

serve(prepare)
"""


@pytest.fixture
def tiny_rival(tmp_path, monkeypatch):
    """Starts the rival above, which is faster by its speed in every round."""
    (tmp_path / "tiny_rival.py").write_text(TINY_RIVAL)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return lambda **options: common.Rival("tiny_rival", options)


def test_a_rival_answers_once_for_every_round_and_what_it_prints_is_no_answer(tiny_rival):
    rival = tiny_rival(speed=5)
    assert [rival.measure(), rival.measure()] == [{"speed": 5}, {"speed": 10}]
    rival.close()


def test_each_rival_is_measured_in_every_round(tiny_rival):
    starts = {"ours": lambda: tiny_rival(speed=2), "other": lambda: tiny_rival(speed=3)}
    assert common.in_turn(starts, 2) == {"ours": [{"speed": 2}, {"speed": 4}], "other": [{"speed": 3}, {"speed": 6}]}


def test_a_skipped_rival_is_named_and_left_out(tiny_rival, capsys):
    starts = {"ours": lambda: tiny_rival(speed=2), "other": lambda: tiny_rival(missing=True)}
    assert list(common.in_turn(starts, 1)) == ["ours"]
    assert "skipped: other: it is not installed" in capsys.readouterr().err


def test_a_rival_that_ends_without_an_answer_is_skipped(tiny_rival, capsys):
    assert common.in_turn({"other": lambda: tiny_rival(speed=2, dies_after=0)}, 1) == {}
    assert "skipped: other: it ended without an answer" in capsys.readouterr().err


def test_a_rival_that_is_not_installed_says_so(capsys):
    assert common.in_turn({"other": lambda: common.Rival("no_such_module", {})}, 1) == {}
    assert "skipped: other: No module named no_such_module" in capsys.readouterr().err


def test_a_rival_that_has_ended_meanwhile_is_left_out(tiny_rival, capsys):
    rivals = [tiny_rival(speed=3), tiny_rival(speed=2)]
    rivals[0]._process.kill()
    rivals[0]._process.wait()
    found = common.in_turn({"other": lambda: rivals[0], "ours": lambda: rivals[1]}, 2)
    assert found == {"ours": [{"speed": 2}, {"speed": 4}]} and "skipped: other" in capsys.readouterr().err


def test_a_rival_that_dies_on_the_way_is_left_out(tiny_rival, capsys):
    starts = {"ours": lambda: tiny_rival(speed=2), "other": lambda: tiny_rival(speed=3, dies_after=1)}
    assert common.in_turn(starts, 3) == {"ours": [{"speed": 2}, {"speed": 4}, {"speed": 6}]}
    assert "skipped: other" in capsys.readouterr().err


def test_an_unknown_rival_is_refused_with_those_there_are(capsys):
    command = common.parser("")
    common.add_only(command, ["ours", "other"])
    assert command.parse_args(["--only", "other,ours"]).only == ["other", "ours"]
    with pytest.raises(SystemExit, match="2"):
        command.parse_args(["--only", "ours,another"])
    assert "'another' is not one of ours, other" in capsys.readouterr().err


def test_rows_have_median_lowest_highest_and_the_ratio_to_ours():
    found = {
        "ours": [{"speed": 2, "size": 7}, {"speed": 4, "size": 8}, {"speed": 9, "size": 9}],
        "other": [{"speed": 6, "size": 1}, {"speed": 1, "size": 2}, {"speed": 2, "size": 3}],
    }
    assert common.rows(found, "speed", size=max) == [
        {"name": "ours", "speed": 4, "lowest": 2, "highest": 9, "size": 9, "ratio_to_ours": 1.0},
        {"name": "other", "speed": 2, "lowest": 1, "highest": 6, "size": 3, "ratio_to_ours": 0.5},
    ]


def test_without_us_there_is_no_ratio():
    (row,) = common.rows({"other": [{"speed": 6}]}, "speed")
    assert row["ratio_to_ours"] is None


def test_a_report_has_a_table_for_each_value_of_a_column(tmp_path, capsys):
    rows = [{"search": "greedy", "name": "ours", "speed": 1234.5}, {"search": "beam", "name": "ours", "speed": 3}]
    options = types.SimpleNamespace(json=tmp_path / "report.json", rounds=1, seed=7)
    common.report(rows, options, by="search", more="figures")
    printed = capsys.readouterr().out
    assert printed.strip().endswith("; seed 7")
    assert printed.index("## greedy") < printed.index("| ours | 1,234 |") < printed.index("## beam")
    written = json.loads((tmp_path / "report.json").read_text())
    assert written["rows"] == rows and written["more"] == "figures" and written["options"]["rounds"] == 1


@pytest.mark.parametrize(
    "arguments, sentence",
    [
        (["--rounds", "0"], "0 is too small; give 1 or more"),
        (["--json", "missing/a.json"], "missing is no folder; make it, or choose another file"),
        (["--data", "missing"], "missing has no train.lc.norm.tok.de.gz; give the folder of Multi30k, or made-up"),
        (["--vocabulary", "4"], "4 is too small; give 50 or more"),
    ],
)
def test_what_cannot_be_measured_is_refused_before_anything_is(arguments, sentence, capsys):
    command = common.parser("")
    common.add_sizes(command)
    with pytest.raises(SystemExit, match="2"):
        command.parse_args(arguments)
    assert sentence in capsys.readouterr().err


def test_a_report_of_nothing_says_so_and_ends_with_status_1():
    with pytest.raises(SystemExit, match="Nothing was measured"):
        common.report([], types.SimpleNamespace(json=None, seed=0))


def test_without_joeynmt_a_sentence_says_how_to_get_it(tmp_path):
    with pytest.raises(common.Skipped, match=f"python -m benchmarks.joeynmt {tmp_path}"):
        joeynmt.interpreter(tmp_path)


def test_the_products_alone_are_those_of_our_matrices():
    from benchmarks.rivals.products import reading, writing
    from keras_attn import AttentionSeq2Seq

    model = AttentionSeq2Seq(50, 50, units=8)
    model.build()
    products = reading(4, 7, 8) + writing(4, 5, 9, 8, 50)
    matrices = [weight for weight in model.weights if "kernel" in weight.name and "bridge" not in weight.path]
    assert sum(each.matrices * each.inner * each.columns for each in products) == sum(
        np.prod(matrix.shape) for matrix in matrices
    )


def test_a_gradient_multiplies_as_much_as_the_product_that_it_belongs_to():
    from benchmarks.rivals.products import Product

    product = Product(matrices=2, positions=3, rows=4, inner=5, columns=6)
    assert product.forward() == (6, 4, 5, 6)
    assert product.backward() == ((6, 4, 6, 5), (2, 5, 12, 6))
    assert {np.prod(each) for each in (product.forward(), *product.backward())} == {720}


def test_a_figure_that_not_all_have_is_left_out_where_it_is_missing():
    found = {"ours": [{"speed": 2, "size": 7}], "other": [{"speed": 6}]}
    ours, other = common.rows(found, "speed", size=max)
    assert ours["size"] == 7 and "size" not in other


def test_tokens_are_counted_up_to_the_first_end_token():
    outputs = np.array([[7, 3, 8, 3], [7, 8, 3, 0], [7, 1, 8, 9]])
    assert sentences.count_tokens(outputs) == 2 + 3 + 4


def test_sentences_of_like_length_are_decoded_together(tmp_path):
    options = {"data": "made-up", "seed": 0, "vocabulary": 50, "sentences": 10, "batch": 4}
    batches = sentences.source_batches(options)
    assert [len(batch) for batch in batches] == [4, 4, 2]
    lengths = [int((row != 0).sum()) for batch in batches for row in batch]
    assert lengths == sorted(lengths)
    assert all(row[np.count_nonzero(row) - 1] == 3 for batch in batches for row in batch)


def rows_of(benchmark, tmp_path, *options):
    """Runs a benchmark as small as can be; its rows and what it said on standard error."""
    small = ["--quick", "--rounds", "1", "--units", "8", "--vocabulary", "50", "--json", tmp_path / "rows.json"]
    command = [sys.executable, "-m", f"benchmarks.{benchmark}", *small, *options]
    done = subprocess.run([*map(str, command)], check=False, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads((tmp_path / "rows.json").read_text())["rows"], done.stderr


@pytest.mark.slow
def test_decoding_gives_all_outputs_of_random_weights_one_length(tmp_path):
    options = ["--data", "made-up", "--sentences", "6", "--batch", "4", "--length", "5", "--joeynmt", tmp_path]
    options += ["--only", "ours,joeynmt,pytorch,stock-keras,products-alone"]
    rows, said = rows_of("decoding", tmp_path, *options)
    torch = ["pytorch"] if importlib.util.find_spec("torch") else []
    assert [(row["search"], row["name"]) for row in rows] == [
        *itertools.product(["greedy"], ["ours", *torch, "stock-keras", "products-alone"]),
        *itertools.product(["beam-5"], ["ours", "products-alone"]),
    ]
    counted = [row for row in rows if row["name"] != "products-alone"]
    assert all(row["output_tokens"] == 6 * 5 and row["tokens_per_sentence"] == 5 for row in counted)
    assert [row["ratio_to_ours"] for row in rows if row["name"] == "ours"] == [1, 1]
    assert all(0 < row["lowest"] <= row["sentences_per_second"] <= row["highest"] for row in rows)
    assert "skipped: joeynmt: JoeyNMT is not in" in said


@pytest.mark.slow
def test_decoding_after_training_lets_outputs_end_by_themselves(tmp_path):
    options = ["--data", "made-up", "--sentences", "4", "--batch", "4", "--trained", "2"]
    rows, _ = rows_of("decoding", tmp_path, *options, "--only", "stock-keras")
    assert [row["search"] for row in rows] == ["greedy"]
    assert 1 <= rows[0]["tokens_per_sentence"] <= sentences.LIMIT


@pytest.mark.slow
def test_latency_of_our_saved_model_and_time_of_our_import_are_measured(tmp_path):
    rows, _ = rows_of("latency", tmp_path, "--calls", "5", "--only", "ours")
    assert [row["name"] for row in rows] == ["ours"]
    assert 0 < rows[0]["milliseconds"] <= rows[0]["p99"] and rows[0]["load_to_first"] > 0
    assert rows[0]["ratio_to_ours"] == 1
    record = json.loads((tmp_path / "rows.json").read_text())
    assert set(record["import_milliseconds"]) == {"keras", "keras_attn"}


@pytest.mark.slow
def test_the_rival_of_latency_is_saved_and_writes_as_many_words_as_ours(tmp_path):
    import tensorflow as tf

    from benchmarks.rivals import saved_models

    options = {"units": 8, "vocabulary": 50, "length": 5, "seed": 0}
    texts = tf.constant(["aaaa, aaab", "aaac"])
    for rival in ("ours", "tutorial"):
        saved_models.prepare({**options, "rival": rival, "folder": str(tmp_path / rival)})
        loaded = tf.saved_model.load(tmp_path / rival)
        written = loaded.signatures["serving_default"](texts=texts)["translations"].numpy()
        assert [len(text.split()) for text in written] == [5, 5]


def test_batches_of_one_length_leave_longer_pairs_out(tmp_path):
    sizes = {"vocabulary": 50, "batch": 4, "steps": 3, "rounds": 1, "warm_up": 1, "padded_to": 9}
    batches = training_batches({"data": "made-up", "seed": 0, **sizes}, like_length=True)
    assert len(batches) == 4
    for source, target, labels in batches:
        assert source.shape == target.shape == labels.shape == (4, 9)
        assert (np.count_nonzero(source, axis=1) >= 6).all()  # five words at least, and an end
        assert all(row[np.count_nonzero(row) - 1] == 3 for row in (*source, *labels))


@pytest.mark.slow
@pytest.mark.parametrize("table, figure", [("gru", "milliseconds"), ("fit", "tokens_per_second")])
def test_what_is_measured_on_a_graphics_processor_runs_anywhere(tmp_path, table, figure):
    pytest.importorskip("jax")
    options = ["--data", "made-up", "--batch", "4", "--table", table, "--only", "ours,pytorch"]
    rows, _ = rows_of("gpu", tmp_path, *options)
    assert [row["name"] for row in rows] == ["ours", *(["pytorch"] if importlib.util.find_spec("torch") else [])]
    assert all(0 < row["lowest"] <= row[figure] <= row["highest"] and row["device"] for row in rows)
    assert all(("loss" in row) == (table == "fit") and 0 < row.get("loss", 1) < 5 for row in rows)


@pytest.mark.slow
def test_training_is_measured_on_the_same_batches_to_a_loss(tmp_path):
    rivals = "ours,stock-keras,joeynmt-input-feeding,products-alone"
    options = ["--data", "made-up", "--batch", "4", "--only", rivals]
    rows, said = rows_of("training", tmp_path, *options, "--joeynmt", tmp_path)
    assert [row["name"] for row in rows] == ["ours", "stock-keras", "products-alone"]
    assert rows[0]["ratio_to_ours"] == 1 and all(row["tokens_per_second"] > 0 for row in rows)
    assert all(0 < row["loss"] < 5 for row in rows[:2]) and "loss" not in rows[2]
    assert "skipped: joeynmt-input-feeding: JoeyNMT is not in" in said
