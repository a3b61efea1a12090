"""Half of a batch beside the other half, for what would leave one of two cores idle."""

import os

from keras_attn.fused import in_graph


def leaves_a_core_idle():
    """Whether operations have one thread each here, while there is more than one core for them, as `prepare_processor`
    has it: what comes one after the other then keeps no more than one core at work."""
    if not in_graph() or (os.cpu_count() or 1) == 1:
        return False
    import tensorflow as tf

    threads = tf.config.threading
    each = threads.get_intra_op_parallelism_threads() or os.environ.get("TF_NUM_INTRAOP_THREADS")
    at_a_time = threads.get_inter_op_parallelism_threads() or os.environ.get("TF_NUM_INTEROP_THREADS")
    return str(each) == "1" and str(at_a_time) != "1"


def side_by_side(function, *batch):
    """What a function of a batch gives, found for each half of the batch by itself.

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


def _halves(tensor, rows):
    import tensorflow as tf

    halves = tf.split(tensor, [rows // 2, rows - rows // 2])
    for half in halves:
        half.set_shape([None, *tensor.shape[1:]])  # which a split of unknown sizes forgets
    return halves
