"""What TensorFlow is told about the processor before training begins."""

import contextlib
import os
import sys

from keras_attn.products import allow_bfloat16_products

_FEW = 2


def prepare_processor(precision):
    """Tells how many threads an operation shall have, and whether products may round, see `TrainingConfig`."""
    _one_thread_an_operation()
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
