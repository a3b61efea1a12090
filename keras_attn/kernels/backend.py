"""What is asked of the backend before a fast way is taken."""

import keras


def in_graph():
    """Whether this is a graph of TensorFlow's."""
    if keras.backend.backend() != "tensorflow":
        return False
    import tensorflow as tf

    return not tf.executing_eagerly()


def has_no_faster_layers():
    """Whether nothing runs a recurrent layer faster than this package, as TensorFlow does on a graphics processor."""
    if keras.backend.backend() != "tensorflow":
        return keras.backend.backend() == "jax"
    import tensorflow as tf

    return not tf.config.list_logical_devices("GPU")


def one_replica():
    """Whether TensorFlow trains one copy of the model, and not several side by side."""
    import tensorflow as tf

    return tf.distribute.get_strategy().num_replicas_in_sync == 1
