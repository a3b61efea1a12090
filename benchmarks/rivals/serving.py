"""Loads a SavedModel, as a server does, and asks one of its signatures for one sentence again and again."""

import statistics
import time

import tensorflow as tf
import tensorflow_text  # noqa: F401 (our SavedModel has its operations)

from benchmarks.common import serve

WARM_UP = 20


def prepare(options):
    inputs = {name: tf.constant([text]) for name, text in options["inputs"].items()}
    started = time.perf_counter()
    loaded = tf.saved_model.load(options["folder"])
    ask = loaded.signatures[options["signature"]]
    _ask(ask, inputs)
    first = time.perf_counter() - started

    def measure():
        for _ in range(WARM_UP):
            _ask(ask, inputs)
        times = sorted(_ask(ask, inputs) for _ in range(options["calls"]))
        return {
            "milliseconds": statistics.median(times) * 1e3,
            "p99": statistics.quantiles(times, n=100)[98] * 1e3,
            "load_to_first": first * 1e3,
        }

    measure.loaded = loaded  # without which the signature's variables would go
    return measure


def _ask(signature, inputs):
    """How many seconds until all outputs are there."""
    started = time.perf_counter()
    for output in signature(**inputs).values():
        output.numpy()
    return time.perf_counter() - started


if __name__ == "__main__":
    serve(prepare)
