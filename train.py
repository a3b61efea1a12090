"""Trains a translator from pairs of strings and leaves everything that it takes to use it.

    python train.py                                      # dates in thirteen languages to ISO 8601
    python train.py --tsv pairs.tsv                      # your own pairs
    python train.py --help

It is `keras-attn train`. The steps themselves, in the order in which they happen, are in `keras_attn/training/run.py`; a
script of your own needs no more than the README's ten lines.
"""

import sys

from keras_attn.cli import run_and_exit

if __name__ == "__main__":
    run_and_exit(["train", *sys.argv[1:]])
