"""The loop of every search: steps until all sentences have ended, over fewer sentences once many of them have."""

import tensorflow as tf


def while_sentences_last(step, unfinished, kept, written, outputs):
    """Repeats a step until every sentence is finished.

    As soon as half of the sentences are, they leave and the others go on as a smaller batch, so that a finished
    sentence costs no more than the ones that are still being written. A stage is what lies between: the steps over the
    same sentences.

    Args:
        step: `step(time, rows, kept, written) -> kept, written, outputs`.
        unfinished: `unfinished(time, rows, kept, written) -> boolean (rows,)`.
        kept: what belongs to the sentences that are still there, a structure of tensors `(rows, ...)`.
        written: what the steps write for all sentences, a structure of tensors.
        outputs: what each step gives of the sentences that are still there, a structure of `tf.TensorSpec`s
            `(rows, ...)`.

    `time` counts the steps, and `rows`, int32, holds the place of each remaining sentence in the batch.

    Returns:
        `written` after the last step, and the outputs of all steps, tensors `(steps, batch, ...)` with zeros for the
        sentences that had left. There is one step at least, even for an empty batch: a `TensorArray` without elements
        cannot be stacked.
    """
    batch = tf.shape(tf.nest.flatten(kept)[0])[0]

    def any_are_left(time, rows, _kept, _written, _of_all):
        return (time == 0) | (tf.size(rows) > 0)

    def stage(start, rows, kept, written, of_all):
        def most_are_unfinished(time, kept, written, _of_stage):
            lasting = tf.reduce_sum(tf.cast(unfinished(time, rows, kept, written), tf.int32))
            return (time == 0) | (2 * lasting > tf.size(rows))

        def one_step(time, kept, written, of_stage):
            kept, written, new = step(time, rows, kept, written)
            of_stage = tf.nest.map_structure(lambda array, tensor: array.write(time - start, tensor), of_stage, new)
            return time + 1, kept, written, of_stage

        loop = start, kept, written, _arrays(outputs)
        time, kept, written, of_stage = tf.while_loop(most_are_unfinished, one_step, loop)
        steps = tf.range(start, time)
        of_all = tf.nest.map_structure(
            lambda array, new: array.scatter(steps, _in_the_batch(rows, new.stack(), batch)), of_all, of_stage
        )
        staying = tf.where(unfinished(time, rows, kept, written))[:, 0]
        rows, kept = tf.nest.map_structure(lambda tensor: tf.gather(tensor, staying), (rows, kept))
        return time, rows, kept, written, of_all

    loop = tf.constant(0), tf.range(batch), kept, written, _arrays(outputs)
    *_, written, of_all = tf.while_loop(any_are_left, stage, loop)
    return written, tf.nest.map_structure(lambda array: array.stack(), of_all)


def _arrays(specs):
    """An empty array for each output, which grows by an element with each step."""
    return tf.nest.map_structure(
        lambda spec: tf.TensorArray(spec.dtype, 0, dynamic_size=True, element_shape=spec.shape), specs
    )


def _in_the_batch(rows, tensor, batch):
    """What belongs to some sentences in the places that they have in the batch, and zeros for the others:
    `(steps, rows, ...)` to `(steps, batch, ...)`."""
    places = tf.scatter_nd(rows[:, None], tf.range(tf.size(rows)) + 1, [batch])
    after_zeros = tf.pad(tensor, [[0, 0], [1, 0]] + [[0, 0]] * (tensor.shape.rank - 2))
    return tf.gather(after_zeros, places, axis=1)
