"""Training throughput: this package beside what people would write or pick instead.

    python -m benchmarks.training --json training.json

All train the same network (256 units, a bidirectional GRU that reads, a GRU that writes, scaled dot-product attention)
on the same sentences, each in a process of its own, in turn and several times over. Reported are target tokens a second,
padding not counted: median, lowest and highest of the rounds; the loss of the last round, in nats a token; and each
rival's median divided by ours. Stock Keras has no layer between encoder and decoder, neither has PyTorch, and Keras's
attention does not scale its scores, so that both have a little less to do. With `-like-length`, sentences of like length share a
batch, as they always do in ours; a batch in random order has half as much padding again. Where the attention feeds back into
the recurrent layers (input feeding, and the wiring of Bahdanau), every position waits for the one before; JoeyNMT knows no
other way. `products-alone` is nobody: it only multiplies the matrices that this takes, in float32 with TensorFlow, and is the
limit for who does that.

The sentences are those of Multi30k, German to English, if it is found (--data names its folder), and otherwise made up.
"""

import statistics

from benchmarks.common import Rival, add_only, add_sizes, at_least, in_turn, parser, report, rows
from benchmarks.joeynmt import add_option, interpreter

KERAS, PYTORCH = "benchmarks.rivals.keras_training", "benchmarks.rivals.pytorch_training"
JOEYNMT, PRODUCTS = "benchmarks.rivals.joeynmt_training", "benchmarks.rivals.products"
OURS, FEEDING = {"rival": "ours", "like_length": True}, {"model": {"input_feeding": True}}
BFLOAT16, ROUNDED_PRODUCTS = {"precision": "mixed_bfloat16"}, {"precision": "bfloat16_products"}

# Name: module, and options beside those of the command line.
RIVALS = {
    "ours": (KERAS, OURS),
    "ours-bfloat16": (KERAS, {**OURS, **BFLOAT16}),
    "ours-bfloat16-products": (KERAS, {**OURS, **ROUNDED_PRODUCTS}),
    "stock-keras": (KERAS, {"rival": "stock-keras", "like_length": False}),
    "stock-keras-like-length": (KERAS, {"rival": "stock-keras", "like_length": True}),
    "stock-keras-bfloat16": (KERAS, {"rival": "stock-keras", "like_length": True, **BFLOAT16}),
    "pytorch": (PYTORCH, {"like_length": False}),
    "pytorch-like-length": (PYTORCH, {"like_length": True}),
    "pytorch-bfloat16": (PYTORCH, {"like_length": True, **BFLOAT16}),
    "ours-input-feeding": (KERAS, {**OURS, **FEEDING}),
    "ours-input-feeding-bfloat16": (KERAS, {**OURS, **FEEDING, **BFLOAT16}),
    "ours-input-feeding-bfloat16-products": (KERAS, {**OURS, **FEEDING, **ROUNDED_PRODUCTS}),
    "ours-bahdanau": (KERAS, {**OURS, "model": {"wiring": "bahdanau"}}),
    "joeynmt-input-feeding": (JOEYNMT, {"like_length": True}),
    "products-alone": (PRODUCTS, {"work": "training", "like_length": True}),
}


def chosen(options):
    """The names of the rivals that are wanted; in a hurry, one of each kind."""
    if options.only:
        return options.only
    return ["ours", "stock-keras", "pytorch-like-length"] if options.quick else list(RIVALS)


def start_of(name, options):
    """A function that starts the `Rival`."""
    module, own = RIVALS[name]
    settings = {**vars(options), "warm_up": 3, **own}
    return lambda: Rival(module, settings, *([interpreter(options.joeynmt)] if module == JOEYNMT else []))


def main():
    command = parser(__doc__)
    add_sizes(command)
    command.add_argument("--steps", type=at_least(1), default=30, help="batches in a round (default: 30)")
    add_only(command, RIVALS)
    add_option(command)
    options = command.parse_args()
    options.joeynmt = str(options.joeynmt)
    if options.quick:
        options.steps, options.rounds = 4, 2
    found = in_turn({name: start_of(name, options) for name in chosen(options)}, options.rounds)
    last = lambda values: values[-1]
    report(rows(found, "tokens_per_second", loss=last, parameters=last, peak_megabytes=statistics.median), options)


if __name__ == "__main__":
    main()
