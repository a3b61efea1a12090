"""What works where something is not installed."""

import subprocess
import sys

import pytest
from helpers import run_python

WITHOUT = """
import sys

class Nowhere:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {missing}:
            raise ImportError(f"No module named {{name!r}}")

sys.meta_path.insert(0, Nowhere())
"""

pytestmark = pytest.mark.slow


def test_layers_and_models_work_without_tensorflow_text_and_the_rest_says_what_to_install(tmp_path):
    printed = run_python(
        WITHOUT.format(missing={"tensorflow_text", "sentencepiece", "babel", "sacrebleu"})
        + "import numpy as np, keras_attn\n"
        "model = keras_attn.AttentionSeq2Seq(9, 9, units=4)\n"
        "print(model({'source': np.ones((1, 2), 'int32'), 'target': np.ones((1, 3), 'int32')}).shape)\n"
        "for use in (lambda: keras_attn.learn_text_processor(['a']), keras_attn.date_pairs):\n"
        "    try:\n"
        "        use()\n"
        "    except ImportError as error:\n"
        "        print(error)\n",
        cwd=tmp_path,
    )
    shape, text, dates = printed.splitlines()
    assert shape == "(1, 3, 9)"
    assert "pip install tensorflow-text" in text and "pip install Babel" in dates


def test_importing_needs_neither_tensorflow_nor_matplotlib_on_another_backend(tmp_path):
    pytest.importorskip("jax")
    run_python(
        WITHOUT.format(missing={"tensorflow", "matplotlib"})
        + "import keras_attn; keras_attn.BahdanauStyleDotAttention()",
        cwd=tmp_path,
        KERAS_BACKEND="jax",
    )


def test_a_package_that_python_is_told_to_run_may_import_it(tmp_path):
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "__init__.py").write_text("from keras_attn import Attention, explain, functional")
    (tmp_path / "theirs" / "__main__.py").write_text("print('ran')")
    command = [sys.executable, "-m", "theirs", "-m", "keras_attn"]
    assert subprocess.run(command, cwd=tmp_path, capture_output=True, text=True).stdout == "ran\n"


def test_the_announced_names_are_at_the_top():
    run_python(
        "from keras_attn import AttentionSeq2Seq, BahdanauStyleDotAttention, GreedyDecoder, Translator, plot_attention\n"
        "import keras_attn\n"
        "assert all(hasattr(keras_attn, name) for name in keras_attn.__all__)\n"
        "assert not hasattr(keras_attn, 'no_such_name')\n",
        cwd=".",
    )
