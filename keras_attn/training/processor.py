"""What TensorFlow and the C library are told about the machine before training begins."""

import contextlib
import ctypes
import os
import sys

from keras_attn.products import allow_bfloat16_products

_FEW = 2

# What glibc's `mallopt` is told: the name of each setting in the environment, its number in malloc.h, and the value.
_MALLOC = {
    "MALLOC_TOP_PAD_": (-2, 2**26),  # ask for this much more than is needed; an empty piece of 64 MiB then stays, too
    "MALLOC_TRIM_THRESHOLD_": (-1, 2**30),  # give back no more than what is free beyond this
    "MALLOC_MMAP_THRESHOLD_": (-3, 2**25),  # what is larger is asked for each time; no more than this may be said
}


def prepare_processor(precision):
    """Tells how many threads an operation shall have, that freed memory is kept, and whether products may round, see
    `TrainingConfig`."""
    _one_thread_an_operation()
    _keep_freed_memory()
    if precision == "bfloat16_products" and not allow_bfloat16_products():
        print(
            "bfloat16_products changes nothing here: the processor has no units for them (AMX), or this process has "
            "multiplied matrices before.",
            file=sys.stderr,
        )


def _one_thread_an_operation():
    """On one or two cores, lets operations run side by side instead of each on all cores, if none has run yet.

    A recurrent model consists of thousands of operations that take some microseconds each. To wake another thread takes as
    long, so that the cores do more when each follows a thread of its own: the encoder's two directions, or two pieces of
    the softmax. What the user has said about threads stands.
    """
    import tensorflow as tf

    told = os.environ.get("TF_NUM_INTRAOP_THREADS") or tf.config.threading.get_intra_op_parallelism_threads()
    cores = os.cpu_count()
    if told or cores is None or cores > _FEW:
        return
    with contextlib.suppress(RuntimeError):  # TensorFlow has begun already, and goes on as it did
        tf.config.threading.set_intra_op_parallelism_threads(1)


def _keep_freed_memory():
    """Lets what a training step frees be there for the next one, where the C library is glibc.

    Otherwise it gives the memory of a thread back in pieces of 64 MiB as soon as they are empty, and the system has to
    fill them with zeros anew: in some models for a sixth of the time of each step. What the user has said stands.
    """
    if sys.platform != "linux" or _MALLOC.keys() & os.environ or "glibc.malloc" in os.environ.get("GLIBC_TUNABLES", ""):
        return
    with contextlib.suppress(AttributeError):  # another C library
        mallopt = ctypes.CDLL(None).mallopt
        for number, value in _MALLOC.values():
            mallopt(number, value)
