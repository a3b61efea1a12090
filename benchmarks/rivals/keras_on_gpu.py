"""Layers and `fit` of Keras with the JAX backend: ourselves, and Keras's own."""

import jax
import keras

from benchmarks.common import serve
from benchmarks.data import training_measurement
from benchmarks.rivals.keras_training import trainer
from benchmarks.rivals.on_gpu import fit_options, milliseconds_of, real_positions, vectors


def recurrent(options):
    """The layer, and a function that calls it."""
    cell, units = options["table"], options["units"]
    if options["rival"] == "ours":
        from keras_attn.layers import RecurrentStack

        layer = RecurrentStack(units, cell=cell, bidirectional=True)
        return layer, lambda call, inputs, mask: call(inputs, mask=mask)[0]
    kind = {"gru": keras.layers.GRU, "lstm": keras.layers.LSTM}[cell]
    layer = keras.layers.Bidirectional(kind(units, return_sequences=True))
    return layer, lambda call, inputs, mask: call(inputs, mask=mask)


def attention(options):
    """The layer, and a function that calls it."""
    if options["rival"] == "ours":
        from keras_attn.layers import Attention

        return Attention("scaled-dot"), lambda call, inputs, mask: call(inputs, inputs, mask=mask)[0]
    return keras.layers.Attention(), lambda call, inputs, mask: call([inputs, inputs], mask=[None, mask])


def layer_measurement(options):
    layer, call_of = (attention if options["table"] == "attention" else recurrent)(options)
    inputs, mask = map(jax.device_put, (vectors(options), real_positions(options)))
    call_of(layer, inputs, mask)  # which builds it
    given = [
        [variable.value for variable in kind] for kind in (layer.trainable_variables, layer.non_trainable_variables)
    ]

    def value(trainable, inputs, others):
        call = lambda *arguments, **more: layer.stateless_call(trainable, others, *arguments, training=True, **more)[0]
        return keras.ops.sum(keras.ops.square(call_of(call, inputs, mask)))

    gradient = jax.jit(jax.grad(value, (0, 1)))
    one_call = lambda: gradient(given[0], inputs, given[1])
    return lambda: {"milliseconds": milliseconds_of(one_call, jax.block_until_ready, options["steps"])}


def prepare(options):
    keras.utils.set_random_seed(options["seed"])
    if options["table"] != "fit":
        measure = layer_measurement(options)
    else:
        model, fit = trainer(options)
        measure = training_measurement(fit_options(options), fit, model.count_params())
    return lambda: {**measure(), "device": jax.devices()[0].device_kind}


if __name__ == "__main__":
    serve(prepare)
