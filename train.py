"""Trains a translator from pairs of strings and leaves everything that it takes to use it.

    python train.py                                      # dates in thirteen languages to ISO 8601
    python train.py --tsv pairs.tsv                      # your own pairs
    python train.py --help

The steps themselves, in the order in which they happen, are in `keras_attn/training/run.py`; each uses public parts only,
so a script of your own can do the same.
"""

import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # TensorFlow's remarks about the machine, before the first output
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # faster products, which it leaves off on some processors

from keras_attn.cli import run_and_exit  # noqa: E402

if __name__ == "__main__":
    run_and_exit(["train", *sys.argv[1:]])
