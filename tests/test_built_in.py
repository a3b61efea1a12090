"""The models that come with the package."""

import hashlib
import pathlib

import pytest
from helpers import run_python

pytest.importorskip("tensorflow_text")

from keras_attn import InputError, Translator
from keras_attn.built_in import NAMES

FOLDER = pathlib.Path(__file__).parents[1] / "keras_attn" / "built_in"


@pytest.mark.parametrize("name", NAMES)
def test_a_model_is_small_and_the_one_that_is_recorded(name):
    model = (FOLDER / name / "model.keras").read_bytes()
    assert len(model) < 1_000_000
    assert hashlib.sha256(model).hexdigest() in (FOLDER / "README.md").read_text()


@pytest.mark.slow
def test_dates_are_answered_at_once_from_any_folder(tmp_path):
    code = "from keras_attn import cli; cli.main(['translate', '--model', 'dates', '25 décembre 1997', '1997년 12월 25일'])"
    assert run_python(code, cwd=tmp_path).split() == ["1997-12-25", "1997-12-25"]


def test_a_folder_of_that_name_comes_first(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pathlib.Path("dates").mkdir()
    with pytest.raises(InputError, match="dates has no model.keras"):
        Translator.load("dates")
