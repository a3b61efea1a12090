"""What rivals on a graphics processor share: what goes in, and a clock."""

import time

import numpy as np


def vectors(options):
    """Float32 `(batch, length, units)`."""
    shape = options["batch"], options["length"], options["units"]
    return np.random.default_rng(options["seed"]).normal(size=shape).astype("float32")


def real_positions(options):
    """Boolean `(batch, length)`: the first positions of every sentence, at least one."""
    lengths = np.random.default_rng(options["seed"]).integers(1, options["length"] + 1, options["batch"])
    return np.arange(options["length"]) < lengths[:, None]


def fit_options(options):
    """The options for `training_measurement`: batches of like length, all of one shape."""
    return {**options, "like_length": True, "padded_to": options["length"]}


def milliseconds_of(call, wait_for, times):
    """How long a call takes when one follows the other, after a first one that is not counted.

    Args:
        call: a function that starts work.
        wait_for: waits until what it returned is there.
        times: how many.
    """
    wait_for(call())
    started = time.perf_counter()
    wait_for([call() for _ in range(times)])
    return 1000 * (time.perf_counter() - started) / times
