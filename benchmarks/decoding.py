"""Decoding speed: this package beside what people would write or pick instead.

    python -m benchmarks.decoding --json decoding.json

All have a bidirectional GRU that reads, a GRU that writes, attention in between, and the same sizes. They decode the same
sentences, the 1,000 of Multi30k's test set of 2016 where it is there and made-up ones otherwise, in the same batches of
like length, greedily and, where they can, with a beam of five; each in a process of its own, in turn and several times
over. Ours has two batches in work at a time, as a `Translator` does. Ids go in and ids come out. Reported are sentences a
second: median, lowest and highest of the rounds; output tokens, each sentence's end token included; and each rival's median
divided by ours, within the same search.

The weights are random, and nobody may write the end token, so that every output has --length tokens; Keras's models do not
write padding or the start token either, as if they had been trained. That is the same work for all, but not what happens in
use, where some sentences of a batch end early. With --trained all learn from the same batches and then write until they end
by themselves; whose outputs differ in length, compare by tokens per second.

`ours-bfloat16` decodes as `--precision bfloat16` has it, with a model altogether in that type; `ours-bfloat16-products`
after `keras_attn.products.allow_bfloat16_products()`, which has an effect on processors with AMX; and `ours-shortlist`
over the tokens that a shortlist learned from Multi30k's training pairs leaves. `products-alone` is nobody: it only
multiplies the matrices that outputs of --length tokens take, in float32 with TensorFlow, and is the limit for who does
that.

On a processor that others use too, PyTorch's threads wait for each other in a loop and are many times slower.
"""

import functools
import statistics

from benchmarks.common import Rival, add_only, add_sizes, at_least, in_turn, parser, report, rows
from benchmarks.joeynmt import add_option, interpreter
from benchmarks.sentences import BEAM, GREEDY, LIMIT

KERAS = "benchmarks.rivals.keras_decoding"
OURS = {
    "ours": {},
    "ours-bfloat16": {"precision": "bfloat16"},
    "ours-bfloat16-products": {"precision": "bfloat16_products"},
    "ours-shortlist": {"shortlist": True},
    "ours-shortlist-bfloat16": {"precision": "bfloat16", "shortlist": True},
    "ours-shortlist-bfloat16-products": {"precision": "bfloat16_products", "shortlist": True},
}
LEFT_OUT_IN_A_HURRY = {*OURS, "products-alone"} - {"ours"}
NAMES = [*OURS, "joeynmt", "pytorch", "stock-keras", "products-alone"]


def rivals(options):
    """From names to functions that start a `Rival`."""
    settings = vars(options)
    ours = {
        name: functools.partial(Rival, KERAS, settings | {"rival": "ours"} | special) for name, special in OURS.items()
    }
    return ours | {
        "joeynmt": lambda: Rival("benchmarks.rivals.joeynmt_decoding", settings, interpreter(options.joeynmt)),
        "pytorch": lambda: Rival("benchmarks.rivals.pytorch_decoding", settings),
        "stock-keras": lambda: Rival(KERAS, settings | {"rival": "stock-keras"}),
        "products-alone": lambda: Rival("benchmarks.rivals.products", settings | {"work": "decoding"}),
    }


def main():
    command = parser(__doc__)
    add_sizes(command)
    command.add_argument("--sentences", type=at_least(1), default=1_000, help="how many are decoded (default: 1000)")
    command.add_argument(
        "--length", type=int, default=14, help="tokens of each output of random weights (default: 14, Multi30k's mean)"
    )
    command.add_argument(
        "--trained",
        metavar="UPDATES",
        type=int,
        default=0,
        help=f"train all on so many batches first, and let outputs end by themselves, after {LIMIT} tokens at the latest; "
        "700 of 64 are one and a half times Multi30k (default: 0)",
    )
    add_only(command, NAMES)
    add_option(command)
    options = command.parse_args()
    options.joeynmt = str(options.joeynmt)
    if options.quick:
        options.sentences, options.rounds = min(options.sentences, 128), 1
    chosen = options.only or [name for name in NAMES if not (options.quick and name in LEFT_OUT_IN_A_HURRY)]
    found = in_turn({name: rivals(options)[name] for name in chosen}, options.rounds)
    report([row for search in (GREEDY, BEAM) for row in rows_of(search, found)], options, by="search")


def rows_of(search, found):
    """A row for each rival that has this search."""
    those = {name: [round_[search] for round_ in rounds] for name, rounds in found.items() if search in rounds[0]}
    last = lambda values: values[-1]
    others = {"tokens_per_second": statistics.median, "output_tokens": last, "tokens_per_sentence": last}
    made = rows(those, "sentences_per_second", **others)
    return [{"search": search, **row} for row in made]


if __name__ == "__main__":
    main()
