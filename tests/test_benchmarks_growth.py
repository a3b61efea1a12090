import json
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[1]
sys.path.append(str(ROOT))

from benchmarks import common, growth, memory

pytestmark = pytest.mark.slow


def rows_of(benchmark, folder, *options):
    """The rows of a benchmark that runs as quickly as it can."""
    command = [sys.executable, "-m", f"benchmarks.{benchmark}", "--quick", "--json", folder / "rows.json", *options]
    done = subprocess.run([*map(str, command)], check=False, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads((folder / "rows.json").read_text(encoding="utf-8"))["rows"]


def test_peak_memory_is_compared_with_that_of_stock_keras(tmp_path):
    rows = rows_of("memory", tmp_path, "--table", "rivals", "--data", "made-up")
    assert [(row["table"], row["name"]) for row in rows] == [("rivals", "ours"), ("rivals", "stock-keras")]
    assert rows[0]["ratio_to_ours"] == 1
    assert rows[1]["ratio_to_ours"] == pytest.approx(rows[1]["peak_megabytes"] / rows[0]["peak_megabytes"], abs=1e-3)
    assert all(row["peak_megabytes"] > 3 * 4 * row["parameters"] / 2**20 for row in rows)


def test_longer_sources_have_the_cost_of_a_thousand_tokens_beside_them(tmp_path):
    shorter, longer = rows_of("memory", tmp_path, "--table", "source length")
    assert "megabytes_per_1000_more_source_tokens" not in shorter
    tokens = longer["batch"] * (longer["source_length"] - shorter["source_length"])
    more = longer["peak_megabytes"] - shorter["peak_megabytes"]
    assert longer["megabytes_per_1000_more_source_tokens"] == pytest.approx(1_000 * more / tokens)


def test_what_a_step_keeps_is_what_lies_beyond_gradients_and_moments(tmp_path):
    (row,) = rows_of("memory", tmp_path, "--table", "vocabulary")
    weights = 4 * row["parameters"] / 2**20
    assert row["beyond_the_weights"] == pytest.approx(row["peak_megabytes"] - 3 * weights)
    assert row["array_of_logits"] == 4 * row["batch"] * row["target_length"] * row["vocabulary"] / 2**20


def test_the_peak_counts_what_is_there_no_longer():
    before = memory.resident_megabytes()
    block = bytearray(b"x") * (64 * 2**20)
    del block
    assert memory.peak_megabytes() >= before + 60  # the system counts in batches


@pytest.mark.parametrize("axis", ["batch", "beam", "corpus"])
def test_growth_gives_speed_and_memory_along_an_axis_and_draws_them(axis, tmp_path):
    rows = rows_of("growth", tmp_path, "--axis", axis, "--plot", tmp_path)
    speed = "sentences_per_second" if axis == "beam" else "tokens_per_second"
    assert [(row["axis"], row["name"]) for row in rows] == [(axis, "ours")] * len(growth.AXES[axis][1])
    assert all(row["lowest"] == row[speed] == row["highest"] > 0 and row["peak_megabytes"] > 0 for row in rows)
    assert (tmp_path / f"{axis}.png").read_bytes().startswith(b"\x89PNG")


def test_a_point_has_a_process_of_its_own():
    sizes = {**growth.TINY, "axis": "batch", "rival": "stock-keras", "steps": 1, "seed": 0}
    rival = common.Rival("benchmarks.growth", sizes)
    first, second = rival.measure(), rival.measure()
    rival.close()
    assert first["tokens_per_second"] > 0
    assert second["peak_megabytes"] >= first["peak_megabytes"] > 0
