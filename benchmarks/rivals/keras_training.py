"""Training with Keras: ourselves, and what a tutorial would write with Keras's own layers."""

import resource
import time

import keras
import tensorflow as tf

from benchmarks.common import serve
from benchmarks.data import PADDING, real_tokens, training_batches


def ours(options):
    from keras_attn import AttentionSeq2Seq, MaskedCrossEntropy

    sizes = [options["vocabulary"]] * 2
    model = AttentionSeq2Seq(*sizes, units=options["units"], **options.get("model", {}))
    model.compile(keras.optimizers.Adam(1e-3), MaskedCrossEntropy())
    return model, lambda source, target, labels: ({"source": source, "target": target}, labels)


def stock_keras(options):
    """Embedding, Bidirectional, GRU, Attention and Dense, with masks that ride on the tensors."""
    layers, units, size = keras.layers, options["units"], options["vocabulary"]
    source, target = keras.Input((None,), dtype="int32"), keras.Input((None,), dtype="int32")
    embedded = layers.Embedding(size, units, mask_zero=True)(source)
    memory = layers.Bidirectional(layers.GRU(units, return_sequences=True))(embedded)
    hidden = layers.GRU(units, return_sequences=True)(layers.Embedding(size, units)(target))
    context = layers.Attention()([hidden, layers.Dense(units, use_bias=False)(memory)])
    attentional = layers.Dense(units, activation="tanh")(layers.Concatenate()([hidden, context]))
    model = keras.Model([source, target], layers.Dense(size, dtype="float32")(attentional))
    model.compile(
        keras.optimizers.Adam(1e-3), keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=PADDING)
    )
    return model, lambda source, target, labels: ((source, target), labels)


MODELS = {"ours": ours, "stock-keras": stock_keras}


def prepare(options):
    if options.get("precision"):
        keras.mixed_precision.set_global_policy(options["precision"])
    keras.utils.set_random_seed(options["seed"])
    model, arrange = MODELS[options["rival"]](options)
    batches = training_batches(options, options["like_length"])
    ids = tf.TensorSpec((None, None), "int32")
    signature = tf.nest.map_structure(lambda _: ids, arrange(*batches[0]))

    def fit(part):
        dataset = tf.data.Dataset.from_generator(
            lambda: (arrange(*batch) for batch in part), output_signature=signature
        )
        started = time.perf_counter()
        history = model.fit(dataset.prefetch(2), verbose=0)
        return time.perf_counter() - started, history.history["loss"][0]

    fit(batches[: options["warm_up"]])
    rest = iter(range(options["warm_up"], len(batches), options["steps"]))

    def measure():
        at = next(rest)
        part = batches[at : at + options["steps"]]
        seconds, loss = fit(part)
        return {
            "tokens_per_second": real_tokens(part) / seconds,
            "loss": loss,
            "parameters": model.count_params(),
            "peak_megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        }

    return measure


if __name__ == "__main__":
    serve(prepare)
