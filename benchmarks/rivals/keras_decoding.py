"""Decoding with Keras: ourselves, and the loop in Python that a tutorial would write around Keras's own layers.

The loop uses `predict_on_batch`, which is compiled and several times faster than calling the model.
"""

import keras
import numpy as np

from benchmarks.common import serve
from benchmarks.data import END, PADDING, START, sentence_pairs, vocabulary_of
from benchmarks.sentences import BEAM, GREEDY, LENGTH_PENALTY, WIDTH, batches_to_learn_from, limit, measurement


def ours(options):
    from keras_attn import AttentionSeq2Seq, BeamSearch, FusedAdam, GreedyDecoder, MaskedCrossEntropy
    from keras_attn.kernels.cores import one_thread_an_operation, two_at_a_time
    from keras_attn.models.precision import in_precision
    from keras_attn.products import allow_bfloat16_products

    one_thread_an_operation()  # as the commands do
    if options.get("precision") == "bfloat16_products":
        allow_bfloat16_products()
    model = AttentionSeq2Seq(options["vocabulary"], options["vocabulary"], units=options["units"])
    model.build()
    model.compile(FusedAdam(1e-3), MaskedCrossEntropy())
    for source, target, labels in batches_to_learn_from(options):
        model.train_on_batch({"source": source, "target": target}, labels)
    if not options["trained"]:
        _never_end(model.decoder.logits)
    if options.get("precision") == "bfloat16":
        model = in_precision(model, "bfloat16")
    alike = {"max_length": limit(options), "shortlist": _shortlist(options) if options.get("shortlist") else None}
    greedy = GreedyDecoder(model, **alike)
    beam = BeamSearch(model, width=WIDTH, length_penalty=LENGTH_PENALTY, **alike)
    searches = {
        GREEDY: lambda source: greedy(source).tokens[:, 0].numpy(),
        BEAM: lambda source: beam(source).tokens[:, 0].numpy(),
    }
    return measurement(options, searches, two_at_a_time)  # as `Translator` does


def _shortlist(options):
    """That of the pairs to train on, whose words have the ids of the batches."""
    from keras_attn.shortlisting import learn_shortlist, shortlist_of
    from keras_attn.text import WordProcessor

    pairs = sentence_pairs(options)
    texts = [WordProcessor(vocabulary_of(side, options["vocabulary"])) for side in zip(*pairs)]
    spaced = ((" ".join(source), " ".join(target)) for source, target in pairs)
    return shortlist_of(learn_shortlist(spaced, *texts), *texts)


def stock_keras(options):
    model, greedy = stock_model(options["vocabulary"], options["vocabulary"], options["units"])
    for *both, labels in batches_to_learn_from(options):
        model.train_on_batch(both, labels)
    if not options["trained"]:
        _never_end(model.layers[-1])
    return measurement(options, {GREEDY: lambda source: greedy(source, limit(options))})


def stock_model(source_size, target_size, units):
    """A model to train, compiled, and its greedy search, see `with_greedy_search`."""
    layers = keras.layers
    embed_source = layers.Embedding(source_size, units, mask_zero=True)
    embed_target = layers.Embedding(target_size, units)
    bidirectional = layers.Bidirectional(layers.GRU(units, return_sequences=True))
    keys = layers.Dense(units, use_bias=False)
    write = layers.GRU(units, return_sequences=True, return_state=True)
    look, attentional = layers.Attention(), layers.Dense(units, activation="tanh")
    logits = layers.Dense(target_size)

    def read(source):
        return keys(bidirectional(embed_source(source)))

    def further(target, memory, mask, state=None):
        hidden, state = write(embed_target(target), initial_state=state)
        context = look([hidden, memory], mask=[None, mask])
        return logits(attentional(layers.Concatenate()([hidden, context]))), state

    return with_greedy_search(read, further, units)


def with_greedy_search(read, further, units):
    """A model to train, compiled, and a function from source ids and a limit to the ids that its greedy search writes.

    The search has two models of the same layers: one that reads, and one that writes a token further.

    Args:
        read: source ids to a memory `(batch, source_length, units)`.
        further: `further(target ids, memory, mask, state=None) -> logits, state`.
        units: size of memory and state.
    """
    source, target = keras.Input((None,), dtype="int32"), keras.Input((None,), dtype="int32")
    memory, mask = read(source), keras.ops.not_equal(source, PADDING)
    model = keras.Model([source, target], further(target, memory, mask)[0])
    reader = keras.Model(source, [memory, mask])
    inputs = [
        keras.Input((1,), dtype="int32"),
        keras.Input((None, units)),
        keras.Input((None,), dtype="bool"),
        keras.Input((units,)),
    ]
    writer = keras.Model(inputs, further(*inputs))
    model.compile(
        keras.optimizers.Adam(1e-3), keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=PADDING)
    )

    def greedy(source, limit):
        memory, mask = reader.predict_on_batch(source)
        tokens, state = np.full((len(source), 1), START), np.zeros((len(source), units), "float32")
        written = []
        ended = np.zeros(tokens.shape, bool)
        while len(written) < limit and not ended.all():
            scores, state = writer.predict_on_batch([tokens, memory, mask, state])
            scores[:, :, [PADDING, START]] = -np.inf
            tokens = scores.argmax(-1)
            written.append(tokens)
            ended |= tokens == END
        return np.concatenate(written, 1)

    return model, greedy


def _never_end(logits):
    """Not the other two either, which training teaches never to write, and a search has more to do where they come up."""
    bias = logits.bias.numpy()
    bias[[PADDING, START, END]] = -1e9
    logits.bias.assign(bias)


RIVALS = {"ours": ours, "stock-keras": stock_keras}


def prepare(options):
    keras.utils.set_random_seed(options["seed"])
    return RIVALS[options["rival"]](options)


if __name__ == "__main__":
    serve(prepare)
