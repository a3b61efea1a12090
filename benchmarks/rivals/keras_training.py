"""Training with Keras: ourselves, and what a tutorial would write with Keras's own layers."""

import keras

from benchmarks.common import serve
from benchmarks.data import PADDING, training_measurement


def ours(options):
    from keras_attn import AttentionSeq2Seq, FusedAdam, MaskedCrossEntropy

    if with_tensorflow():
        from keras_attn.training.processor import prepare_processor

        prepare_processor(options.get("precision"))  # as `train.py` does
    sizes = [options["vocabulary"]] * 2
    model = AttentionSeq2Seq(*sizes, units=options["units"], **options.get("model", {}))
    model.compile(FusedAdam(1e-3), MaskedCrossEntropy())
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


def with_tensorflow():
    return keras.backend.backend() == "tensorflow"


def dataset_of(batches):
    """What `fit` is given: a `tf.data.Dataset`, or under another backend, where TensorFlow may be missing, the batches.

    It goes without TensorFlow's tuning, whose thread can hold up the end of a pass for as long as the pass took: a matter
    of chance that has nothing to do with the model.
    """
    if not with_tensorflow():
        return (batch for batch in batches)
    import tensorflow as tf

    signature = tf.nest.map_structure(lambda _: tf.TensorSpec((None, None), "int32"), batches[0])
    options = tf.data.Options()
    options.autotune.enabled = False
    dataset = tf.data.Dataset.from_generator(lambda: iter(batches), output_signature=signature)
    return dataset.prefetch(2).with_options(options)


def trainer(options):
    """The model of a rival, and a function that makes a step on each batch of a list and returns the mean loss."""
    if options.get("precision") == "mixed_bfloat16":
        keras.mixed_precision.set_global_policy(options["precision"])
    keras.utils.set_random_seed(options["seed"])
    model, arrange = MODELS[options["rival"]](options)
    if not model.built:
        model.build()

    def fit(batches):
        dataset = dataset_of([arrange(*batch) for batch in batches])
        return model.fit(dataset, verbose=0).history["loss"][0]

    return model, fit


def prepare(options):
    model, fit = trainer(options)
    return training_measurement(options, fit, model.count_params())


if __name__ == "__main__":
    serve(prepare)
