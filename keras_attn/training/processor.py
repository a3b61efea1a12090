"""What TensorFlow and the C library are told about the machine before training begins."""

import contextlib
import ctypes
import os
import sys

from keras_attn.kernels.cores import one_thread_an_operation
from keras_attn.products import let_products_round

# What glibc's `mallopt` is told: the name of each setting in the environment, its number in malloc.h, and the value.
_MALLOC = {
    "MALLOC_TOP_PAD_": (-2, 2**26),  # ask for this much more than is needed; an empty piece of 64 MiB then stays, too
    "MALLOC_TRIM_THRESHOLD_": (-1, 2**30),  # give back no more than what is free beyond this
    "MALLOC_MMAP_THRESHOLD_": (-3, 2**25),  # what is larger is asked for each time; no more than this may be said
}


def prepare_processor(precision):
    """Tells how many threads an operation shall have, that freed memory is kept, and whether products may round, see
    `TrainingConfig`."""
    one_thread_an_operation()
    _keep_freed_memory()
    if precision == "bfloat16_products":
        let_products_round()


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
