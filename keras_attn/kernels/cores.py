"""What keeps two cores at work: operations, halves of a batch, and whole batches side by side.

A recurrent model consists of thousands of operations that take some microseconds each and wait for each other. To wake
another thread for one of them takes as long as the operation itself, so that cores do more when each follows a thread of
its own. What a model is to do therefore comes in two pieces that need not wait for each other.
"""

import contextlib
import os
from concurrent.futures import ThreadPoolExecutor

from keras_attn.kernels.backend import in_graph

_FEW = 2


def one_thread_an_operation():
    """On one or two cores, lets operations run side by side instead of each on all cores, if none has run yet. What the user
    has said about threads stands."""
    import tensorflow as tf

    cores = os.cpu_count()
    if _threads("intra") or cores is None or cores > _FEW:
        return
    with contextlib.suppress(RuntimeError):  # TensorFlow has begun already, and goes on as it did
        tf.config.threading.set_intra_op_parallelism_threads(1)


def leaves_a_core_idle():
    """Whether operations of the graph that is being made will have one thread each, while there is more than one core for
    them: what comes one after the other then keeps no more than one core at work."""
    if not in_graph() or (os.cpu_count() or 1) == 1:
        return False
    return _threads("intra") == 1 and _threads("inter") != 1


def in_halves(function, *batch):
    """What a function of a batch gives, found for each half of the batch by itself, in a graph of TensorFlow's.

    Args:
        function: takes what is in `batch`, and returns a structure of tensors `(rows, ...)`.
        batch: structures of tensors `(batch, ...)`. Of one row, one half is empty.
    """
    import tensorflow as tf

    tensors = tf.nest.flatten(batch)
    if tensors[0].shape[0] in (0, 1):  # Keras's LSTM takes no batch that is known to be empty
        return function(*batch)
    rows = tf.shape(tensors[0])[0]
    halves = zip(*(_halves(tensor, rows) for tensor in tensors))
    results = [function(*tf.nest.pack_sequence_as(batch, half)) for half in halves]
    return tf.nest.map_structure(lambda *both: tf.concat(both, axis=0), *results)


def two_at_a_time(function, batches):
    """What a function gives for each of a list of batches, in order, as `map` does, with two of them in work at a time."""
    if len(batches) < 2:
        return list(map(function, batches))
    with ThreadPoolExecutor(max_workers=2) as pool:
        return list(pool.map(function, batches))


def _halves(tensor, rows):
    import tensorflow as tf

    halves = tf.split(tensor, [rows // 2, rows - rows // 2])
    for half in halves:
        half.set_shape([None, *tensor.shape[1:]])  # which a split of unknown sizes forgets
    return halves


def _threads(kind):
    """How many threads the user or this package has given to an operation (`"intra"`) or to all of them (`"inter"`); 0 if
    TensorFlow decides."""
    import tensorflow as tf

    told = {
        "intra": tf.config.threading.get_intra_op_parallelism_threads,
        "inter": tf.config.threading.get_inter_op_parallelism_threads,
    }
    in_environment = os.environ.get(f"TF_NUM_{kind.upper()}OP_THREADS", "")
    return told[kind]() or (int(in_environment) if in_environment.isdecimal() else 0)  # as TensorFlow takes it
