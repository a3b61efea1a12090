"""What several test files need."""

import os
import subprocess
import sys

import keras
import numpy as np


def numbers(tensor):
    """A tensor of any float type as a NumPy array that can be compared."""
    tensor = keras.ops.convert_to_tensor(tensor)
    return keras.ops.convert_to_numpy(keras.ops.cast(tensor, "float32") if "float" in tensor.dtype.name else tensor)


def softmax(scores):
    exponentials = np.exp(scores - scores.max(-1, keepdims=True))
    return exponentials / exponentials.sum(-1, keepdims=True)


def random_ids(rng, vocabulary_size, lengths):
    """One row of ordinary ids for each length, padded with 0 on the right."""
    ids = np.zeros((len(lengths), max(lengths)), "int32")
    for row, length in zip(ids, lengths):
        row[:length] = rng.integers(4, vocabulary_size, length)
    return ids


def teacher_forcing(rng, vocabulary_size, lengths):
    """Random targets as a model takes them, and their labels."""
    words = random_ids(rng, vocabulary_size, lengths)
    target = np.pad(words, [(0, 0), (1, 0)], constant_values=2)
    labels = np.pad(words, [(0, 0), (0, 1)])
    labels[np.arange(len(lengths)), lengths] = 3
    return np.where(labels > 0, target, 0), labels


def run_python(code, *arguments, cwd, **environment):
    """Runs code in a fresh process and returns what it printed."""
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout
