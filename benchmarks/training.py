"""Training throughput: this package beside what a tutorial would write with stock Keras layers.

    python -m benchmarks.training --steps 50 --json training.json

Both train the same network on the same batches of random ids (the words do not matter for the speed, their lengths do),
in turn and several times over, since machines are noisy. Reported are target tokens per second, padding not counted:
median, lowest and highest of the rounds, and each rival's median divided by ours.
"""

import argparse
import json
import os
import platform
import statistics
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np

from keras_attn import AttentionSeq2Seq, MaskedCrossEntropy
from keras_attn.ids import END, PADDING, START

_WARM_UP = 3


def random_batches(options):
    """Sentences of 5 to 25 tokens, each side of about the same length, in batches of like length."""
    rng = np.random.default_rng(options.seed)
    lengths = np.sort(rng.integers(5, 26, (options.steps * options.batch,))).reshape(options.steps, options.batch)
    return [_random_batch(rng, row, options.vocabulary) for row in rng.permutation(lengths)]


def _random_batch(rng, lengths, vocabulary):
    longest = lengths.max()
    real = np.arange(longest) < lengths[:, None]
    words = lambda: np.where(real, rng.integers(END + 1, vocabulary, real.shape), PADDING)
    labels = words()
    target = np.where(real, np.pad(labels, [(0, 0), (1, 0)], constant_values=START)[:, :-1], PADDING)
    return words().astype("int32"), target.astype("int32"), labels.astype("int32")


def ours(options):
    model = AttentionSeq2Seq(options.vocabulary, options.vocabulary, units=options.units)
    model.compile(keras.optimizers.Adam(1e-3), MaskedCrossEntropy())
    return lambda source, target, labels: model.train_on_batch({"source": source, "target": target}, labels)


def stock_keras(options):
    """Embedding, Bidirectional, GRU, Attention and Dense, with masks that ride on the tensors."""
    layers, units = keras.layers, options.units
    source, target = keras.Input((None,), dtype="int32"), keras.Input((None,), dtype="int32")
    embedded = layers.Embedding(options.vocabulary, units, mask_zero=True)(source)
    memory = layers.Bidirectional(layers.GRU(units, return_sequences=True))(embedded)
    hidden = layers.GRU(units, return_sequences=True)(layers.Embedding(options.vocabulary, units)(target))
    context = layers.Attention()([hidden, layers.Dense(units, use_bias=False)(memory)])
    attentional = layers.Dense(units, activation="tanh")(layers.Concatenate()([hidden, context]))
    model = keras.Model([source, target], layers.Dense(options.vocabulary)(attentional))
    model.compile(
        keras.optimizers.Adam(1e-3), keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=PADDING)
    )
    return lambda source, target, labels: model.train_on_batch([source, target], labels)


RIVALS = {"ours": ours, "stock-keras": stock_keras}


def tokens_per_second(train_step, data):
    started = time.perf_counter()
    for batch in data:
        train_step(*batch)
    real = sum(int((labels != PADDING).sum()) for _, _, labels in data)
    return real / (time.perf_counter() - started)


def measure(options):
    """A row for each rival, each measured once in every round."""
    data = random_batches(options)
    rates = {name: [] for name in RIVALS}
    steps = {}
    for name, make in RIVALS.items():
        keras.utils.set_random_seed(options.seed)
        steps[name] = make(options)
        tokens_per_second(steps[name], data[:_WARM_UP])
    for _ in range(options.rounds):
        for name, train_step in steps.items():
            rates[name].append(tokens_per_second(train_step, data))
    best = statistics.median(rates["ours"])
    return [
        {
            "name": name,
            "tokens_per_second": round(statistics.median(found)),
            "lowest": round(min(found)),
            "highest": round(max(found)),
            "ratio_to_ours": round(statistics.median(found) / best, 3),
        }
        for name, found in rates.items()
    ]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--units", type=int, default=256, help="size of every layer (default: 256)")
    parser.add_argument("--vocabulary", type=int, default=10_000, help="ids on each side (default: 10000)")
    parser.add_argument("--batch", type=int, default=64, help="sentences in a batch (default: 64)")
    parser.add_argument("--steps", type=int, default=30, help="batches in a round (default: 30)")
    parser.add_argument("--rounds", type=int, default=3, help="rounds (default: 3)")
    parser.add_argument("--seed", type=int, default=0, help="of weights and batches (default: 0)")
    parser.add_argument("--quick", action="store_true", help="a minute at most: 5 batches, 2 rounds")
    parser.add_argument("--json", metavar="FILE", help="write the rows with machine, versions and options")
    options = parser.parse_args()
    if options.quick:
        options.steps, options.rounds = 5, 2
    rows = measure(options)
    print(f"{'name':14}{'tokens/s':>10}{'lowest':>10}{'highest':>10}{'ratio to ours':>16}")
    for row in rows:
        print("{name:14}{tokens_per_second:>10}{lowest:>10}{highest:>10}{ratio_to_ours:>16}".format(**row))
    if options.json:
        machine = {"processor": platform.processor() or platform.machine(), "cores": os.cpu_count()}
        versions = {"python": platform.python_version(), "keras": keras.__version__}
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump(
                {"rows": rows, "machine": machine, "versions": versions, "options": vars(options)}, file, indent=1
            )


if __name__ == "__main__":
    main()
