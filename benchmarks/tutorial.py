"""A recipe beside the model of a tutorial: the same pairs to learn from, the same unseen ones to translate.

    python -m benchmarks.tutorial --recipe tatoeba-ko-en --data FOLDER
    python -m benchmarks.tutorial --recipe tatoeba-en-es --only stock-keras --json tutorial.json

The tutorial's way is that of TensorFlow's own, "Neural machine translation with attention": Keras's layers (256 units,
`MultiHeadAttention` with one head, added to the decoder's states and normalised), here over words where the recipe has
subwords, at most 10,000 on each side, random batches of 64, Adam at 0.001 until the validation loss has not fallen for three
epochs, and greedy search. Its texts are cut, counted and joined again by this package, and it computes in the precision of the
recipe, so that the difference is that of the models and their training. (With --quick, ours is tiny, and the figures mean
nothing.)
"""

import contextlib
import dataclasses
import sys
import tempfile
import time
import types

from benchmarks.common import Skipped, add_only, parser, report
from benchmarks.recipes import RECIPES, recipe

_VOCABULARIES = {"vocabulary_size": 10_000, "shared_vocabulary": False, "tied_embeddings": False}
_UNITS, _BATCH, _EPOCHS, _PATIENCE, _LIMIT = 256, 64, 30, 3, 50
_TINY = {"epochs": 1, "pairs": 300, "units": 16, "embedding_units": 16, "vocabulary_size": 500}


def main():
    command = parser(__doc__, rounds=None)
    command.add_argument("--recipe", choices=RECIPES, default="tatoeba-ko-en", help="(default: tatoeba-ko-en)")
    command.add_argument("--data", metavar="FOLDER", help="where its files are, or folders with them")
    add_only(command, SYSTEMS)
    options = command.parse_args()
    from keras_attn.training.measuring import MEASURES

    try:
        config = recipe(options.recipe, options.data, seed=options.seed, **(_TINY if options.quick else {}))
    except Skipped as reason:
        command.error(str(reason))
    rows = []
    for name in options.only or SYSTEMS:
        started = time.perf_counter()
        with contextlib.redirect_stdout(sys.stderr):
            metrics = SYSTEMS[name](config)
        figures = {figure: metrics[figure] for figure in (*MEASURES[config.measures], "parameters")}
        rows.append({"name": name, **figures, "seconds": round(time.perf_counter() - started)})
        print(rows[-1], file=sys.stderr)
    main_measure = next(iter(MEASURES[config.measures]))
    ours = next((row[main_measure] for row in rows if row["name"] == "ours"), None)
    for row in rows:
        row["ratio_to_ours"] = round(row[main_measure] / ours, 3) if ours else None
    report(rows, options)


def our_recipe(config):
    """Trains the recipe as `train.py` does; what it measured."""
    from keras_attn.training import train

    with tempfile.TemporaryDirectory() as folder:
        return train(config, folder)


def tutorial(config):
    """Trains the tutorial's model; the same measures."""
    import keras

    from keras_attn.data.encoded import EncodedPairs
    from keras_attn.training.building import precision
    from keras_attn.training.measuring import measured
    from keras_attn.training.preparing import learn_texts, load_parts, sources_and_references

    units = {side: getattr(config, side).replace("subwords", "words") for side in ("source_unit", "target_unit")}
    config = dataclasses.replace(config, **units, **_VOCABULARIES)
    keras.utils.set_random_seed(config.seed)
    parts = load_parts(config)
    texts = learn_texts(config, parts.train)
    with precision(config.precision):
        model, greedy = tutorial_model(*(text.vocabulary_size for text in texts), _UNITS)
    training, validation = (EncodedPairs(part, *texts) for part in (parts.train, parts.validation))
    patience = keras.callbacks.EarlyStopping(patience=_PATIENCE, restore_best_weights=True)
    fitting = {"epochs": _EPOCHS, "callbacks": [patience], "verbose": 2}
    model.fit(_random_batches(training, config.seed), validation_data=_random_batches(validation, 0), **fitting)
    sources, references = sources_and_references(parts.test)
    translations = [types.SimpleNamespace(text=output) for output in _greedy_outputs(greedy, texts, sources)]
    return measured(config, references, translations, texts[1]) | {"parameters": model.count_params()}


def tutorial_model(source_size, target_size, units):
    """Its model to train, compiled, and its greedy search, see `with_greedy_search`."""
    import keras

    from benchmarks.rivals.keras_decoding import with_greedy_search

    layers = keras.layers
    embed_source = layers.Embedding(source_size, units, mask_zero=True)
    bidirectional = layers.Bidirectional(layers.GRU(units, return_sequences=True), merge_mode="sum")
    embed_target = layers.Embedding(target_size, units)
    write = layers.GRU(units, return_sequences=True, return_state=True)
    look, normalize = layers.MultiHeadAttention(num_heads=1, key_dim=units), layers.LayerNormalization()
    logits = layers.Dense(target_size, dtype="float32")

    def read(source):
        return bidirectional(embed_source(source))

    def further(target, memory, mask, state=None):
        hidden, state = write(embed_target(target), initial_state=state)
        context = look(hidden, memory, value_mask=mask)
        return logits(normalize(layers.Add()([hidden, context]))), state

    return with_greedy_search(read, further, units)


SYSTEMS = {"ours": our_recipe, "stock-keras": tutorial}


def _random_batches(encoded, seed):
    """Batches of pairs of any length, drawn anew in every epoch, as a data set."""
    import numpy as np
    import tensorflow as tf

    rng = np.random.default_rng(seed)

    def epoch():
        order = rng.permutation(len(encoded.lengths))
        for start in range(0, len(order), _BATCH):
            inputs, labels = encoded.read(order[start : start + _BATCH])
            yield (inputs["source"], inputs["target"]), labels

    ids = tf.TensorSpec((None, None), "int32")
    return tf.data.Dataset.from_generator(epoch, output_signature=((ids, ids), ids)).prefetch(2)


def _greedy_outputs(greedy, texts, sources):
    from keras_attn.text.sequences import source_ids

    source_text, target_text = texts
    outputs = []
    for at in range(0, len(sources), _BATCH):
        ids = greedy(source_ids(source_text, sources[at : at + _BATCH]).numpy(), _LIMIT)
        outputs += [text.decode() for text in target_text.to_text(ids).numpy()]
    return outputs


if __name__ == "__main__":
    sys.exit(main())
