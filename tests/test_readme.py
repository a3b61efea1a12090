"""What the README shows must work as it stands there."""

import pathlib
import re

import numpy as np
import pytest
from helpers import numbers

pytestmark = pytest.mark.usefixtures("unoptimized_graphs")

pytest.importorskip("tensorflow_text")
pytest.importorskip("babel")

ROOT = pathlib.Path(__file__).parents[1]
README, KOREAN = ((ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "README.ko.md"))
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)

# A smaller model and fewer dates, for the time that it takes.
SMALLER = {
    "date_pairs()": "date_pairs(train=300, validation=10, test=10)",
    "units=128": "units=8",
    "epochs=5": "epochs=1",
    "step=3": "step=1",
}


@pytest.mark.slow
def test_every_python_block_runs_one_after_the_other(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code = "\n".join(BLOCKS)
    for shown, smaller in SMALLER.items():
        assert shown in code
        code = code.replace(shown, smaller)
    names = {}
    exec(compile(code, "README.md", "exec"), names)
    assert (tmp_path / "attention.png").exists()
    assert names["answer"]["translations"].shape == (2,)
    np.testing.assert_array_equal(numbers(names["scores"]), [[15, 60, 15, 35]])


def test_the_korean_one_shows_the_same_code():
    def blocks(text):
        return re.findall(r"^```\w*\n(.*?)^```", text, re.DOTALL | re.MULTILINE)

    shown = blocks(KOREAN)
    assert len(shown) > 5
    assert not [block for block in shown if block not in blocks(README)]


@pytest.mark.parametrize("text", [README, KOREAN], ids=["English", "Korean"])
def test_every_picture_and_file_that_it_names_is_there(text):
    links = (link for link in re.findall(r"\]\(([^)#]+)", text) if not link.startswith("http"))
    named = [*links, *re.findall(r"`((?:keras_attn|notebooks)/[\w/.]+)`", text)]
    assert named
    assert not [name for name in named if not (ROOT / name).exists()]
