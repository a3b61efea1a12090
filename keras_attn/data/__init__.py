"""Pairs of strings from files, archives and a built-in task, and the batches of ids that a model trains on."""

from keras_attn.data.batches import batches
from keras_attn.data.dates import date_pairs
from keras_attn.data.download import DOWNLOADS, download_pairs
from keras_attn.data.pairs import read_pairs, read_parallel, read_references, read_tsv
from keras_attn.data.split import Split, split_pairs
from keras_attn.text.sequences import source_ids

__all__ = [
    "DOWNLOADS",
    "Split",
    "batches",
    "date_pairs",
    "download_pairs",
    "read_pairs",
    "read_parallel",
    "read_references",
    "read_tsv",
    "source_ids",
    "split_pairs",
]
