"""Whether TensorFlow trains one copy of a model or several side by side."""


def one_replica():
    """Whether there is no more than one."""
    import tensorflow as tf

    return tf.distribute.get_strategy().num_replicas_in_sync == 1
