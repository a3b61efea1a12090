"""Keras's Adam, in a single pass over the weights."""

import keras

from keras_attn.kernels.backend import one_replica


@keras.saving.register_keras_serializable(package="keras_attn")
class FusedAdam(keras.optimizers.Adam):
    """Keras's Adam, which takes its step with one operation of TensorFlow's for each weight.

    The arguments and the state are Keras's, so that it can take the place of `keras.optimizers.Adam` anywhere, and go on
    from its state. Keras's step is some ten operations, each of which goes over all weights; where most of a model's weights
    are embeddings, that is a good part of the time of a training step. With another backend, several replicas or
    `amsgrad=True` the step is Keras's own.

    The formula is Keras's too, but for one thing: where a token stands several times in a batch, what it is to learn from
    each place is added up before it is squared, as the paper has it. Keras (3.15) adds the squares, unless gradients are
    accumulated or clipped by their global norm, and so add up first. (`clipnorm` and `clipvalue` of Keras clip each place by
    itself, here as there.)

    Example:
        >>> model.compile(FusedAdam(1e-3), MaskedCrossEntropy())

    Source: Kingma and Ba 2015 (arXiv 1412.6980), algorithm 1 in the order of the end of section 2.
    """

    def update_step(self, gradient, variable, learning_rate):
        if keras.backend.backend() == "tensorflow" and not self.amsgrad and one_replica():
            self._fused_step(gradient, variable, learning_rate)
        else:
            super().update_step(gradient, variable, learning_rate)

    def _fused_step(self, gradient, variable, learning_rate):
        import tensorflow as tf

        index = self._get_variable_index(variable)
        rate, step, beta_1, beta_2, epsilon = (
            tf.cast(value, variable.dtype)
            for value in (learning_rate, self.iterations + 1, self.beta_1, self.beta_2, self.epsilon)
        )
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=self._momentums[index].value.handle,
            v=self._velocities[index].value.handle,
            beta1_power=beta_1**step,
            beta2_power=beta_2**step,
            lr=rate,
            beta1=beta_1,
            beta2=beta_2,
            epsilon=epsilon,
            grad=tf.convert_to_tensor(tf.cast(gradient, variable.dtype)),  # of an embedding, only some rows are given
        )
