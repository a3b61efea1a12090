"""What several test files need."""

import os
import pathlib
import subprocess
import sys

import keras
import numpy as np
import pytest


def slow(*parameters):
    """Parameters of a test that the quick part leaves out."""
    return pytest.param(*parameters, marks=pytest.mark.slow)


def numbers(tensor):
    """A tensor or variable of any float type as a NumPy array that can be compared."""
    tensor = keras.ops.convert_to_tensor(tensor)
    floating = "float" in keras.ops.dtype(tensor)
    return keras.ops.convert_to_numpy(keras.ops.cast(tensor, "float32") if floating else tensor)


def softmax(scores):
    exponentials = np.exp(scores - scores.max(-1, keepdims=True))
    return exponentials / exponentials.sum(-1, keepdims=True)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def gru_step(x, state, weights):
    """Cho et al. 2014 with the reset gate after the product, as cuDNN has it; one position of one sentence."""
    kernel, recurrent, (bias, recurrent_bias) = weights
    update_x, reset_x, new_x = np.split(x @ kernel + bias, 3)
    update_h, reset_h, new_h = np.split(state @ recurrent + recurrent_bias, 3)
    update, reset = sigmoid(update_x + update_h), sigmoid(reset_x + reset_h)
    return update * state + (1 - update) * np.tanh(new_x + reset * new_h)


def gru_in_numpy(inputs, weights):
    """One sentence `(length, units)`, from a state of zero."""
    state, states = np.zeros(weights[1].shape[0]), []
    for x in inputs:
        state = gru_step(x, state, weights)
        states.append(state)
    return np.array(states)


def lstm_in_numpy(inputs, weights):
    """Hochreiter and Schmidhuber 1997 with forget gate; one sentence `(length, units)`, from a state of zero."""
    kernel, recurrent, bias = weights
    hidden = cell = np.zeros(recurrent.shape[0])
    states = []
    for x in inputs:
        enter, forget, new, leave = np.split(x @ kernel + hidden @ recurrent + bias, 4)
        cell = sigmoid(forget) * cell + sigmoid(enter) * np.tanh(new)
        hidden = sigmoid(leave) * np.tanh(cell)
        states.append(hidden)
    return np.array(states)


def disturb_weights(layer, rng, deviation=0.3):
    """Moves every weight a little, so that biases and the like, which start at zero or one, are seen in a result."""
    layer.set_weights([weight + deviation * rng.normal(size=weight.shape) for weight in layer.get_weights()])


def step_by_step(model, target, state, memory):
    """The logits and attention weights of a target that a model or decoder is given token by token."""
    logits, weights = [], []
    for tokens in target.T:
        step_logits, state, step_weights = model.step(tokens, state, memory)
        logits.append(numbers(step_logits))
        weights.append(numbers(step_weights))
    return np.stack(logits, 1), np.stack(weights, 1)


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


def multiplies_bfloat16():
    """Whether the processor has units for that (AMX)."""
    about = pathlib.Path("/proc/cpuinfo")
    return about.exists() and "amx_bf16" in about.read_text()


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
