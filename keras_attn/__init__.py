"""Attention sequence-to-sequence models for Keras 3.

    from keras_attn import AttentionSeq2Seq, BahdanauStyleDotAttention, GreedyDecoder, Translator, explain

Layers and models need Keras alone, on any backend. What needs TensorFlow or matplotlib is imported when it is first
used.
"""

import importlib
import pathlib
import sys

from keras_attn.errors import InputError


def _is_command_line():
    """Whether this is `keras-attn`, `python -m keras_attn`, or the `train.py` beside the package."""
    program = sys.argv[0] if sys.argv else ""
    if program == "-m":  # as long as Python looks for the module that it is to run
        module = sys.orig_argv.index("-m") + 1 if "-m" in sys.orig_argv else 0
        return sys.orig_argv[module] == __name__
    script = pathlib.Path(program)
    return script.stem == "keras-attn" or script.resolve() == pathlib.Path(__file__).resolve().parents[1] / "train.py"


# The command line answers `--help` without Keras, and its commands import what they need themselves. Everyone else gets
# these at once: Keras only loads a saved model whose classes have been imported.
if not _is_command_line():
    from keras_attn import functional
    from keras_attn.explain import explain  # imported later, the module would take the function's name
    from keras_attn.layers import Attention, BahdanauStyleDotAttention
    from keras_attn.models import AttentionSeq2Seq, FusedAdam, MaskedCrossEntropy, Perplexity, TokenAccuracy

_LATER = {
    "BeamSearch": "keras_attn.decoding",
    "DecodedQuality": "keras_attn.training",
    "Ensemble": "keras_attn.decoding",
    "GreedyDecoder": "keras_attn.decoding",
    "Sampling": "keras_attn.decoding",
    "Translator": "keras_attn.translator",
    "animate_translation": "keras_attn.animation",
    "batches": "keras_attn.data",
    "date_pairs": "keras_attn.data",
    "learn_text_processor": "keras_attn.text",
    "plot_alignment": "keras_attn.plotting",
    "plot_attention": "keras_attn.plotting",
}

__all__ = [
    "Attention",
    "AttentionSeq2Seq",
    "BahdanauStyleDotAttention",
    "FusedAdam",
    "InputError",
    "MaskedCrossEntropy",
    "Perplexity",
    "TokenAccuracy",
    "explain",
    "functional",
    *_LATER,
]


def __getattr__(name):
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_LATER[name]), name)
