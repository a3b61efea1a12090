"""Training on a graphics processor: our layers and `fit` with the JAX backend, beside PyTorch, whose recurrent layers are
cuDNN's there.

    python -m benchmarks.gpu --json gpu.json

It takes JAX and PyTorch, each of which sees the processor, and no TensorFlow. Four tables:

- gru, lstm: a recurrent layer that reads a batch of vectors in both directions, forward and backward; milliseconds.
- attention: as many queries ask as there are values, scaled dot product, forward and backward; milliseconds.
- fit: the whole model, as in `benchmarks.training`; target tokens a second, padding not counted, and the loss of the last
  round.

JAX compiles for every shape, so there is one: sentences of up to `--length` tokens, all padded to it, for everyone.
Everyone multiplies in TensorFloat-32, as JAX and cuDNN do unless told otherwise; `-bfloat16` rounds to that.
"""

import os
from concurrent import futures

from benchmarks.common import Rival, add_only, add_sizes, at_least, in_turn, parser, report, rows

KERAS, PYTORCH = "benchmarks.rivals.keras_on_gpu", "benchmarks.rivals.pytorch_on_gpu"
BFLOAT16 = {"precision": "mixed_bfloat16"}
# All of them are there at the same time, and share the processor's memory.
ENVIRONMENT = {"KERAS_BACKEND": "jax", "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}

# Name: module, and options beside those of the command line.
RIVALS = {
    "ours": (KERAS, {"rival": "ours"}),
    "ours-bfloat16": (KERAS, {"rival": "ours", **BFLOAT16}),
    "stock-keras": (KERAS, {"rival": "stock-keras"}),
    "pytorch": (PYTORCH, {}),
    "pytorch-bfloat16": (PYTORCH, BFLOAT16),
}
TABLES = {"gru": "milliseconds", "lstm": "milliseconds", "attention": "milliseconds", "fit": "tokens_per_second"}


def start_of(name, table, options):
    """A function that starts the `Rival`."""
    module, own = RIVALS[name]
    settings = {**vars(options), "warm_up": 3, "table": table, **own}
    return lambda: Rival(module, settings)


def rivals_of(table, options):
    """The names of those who are measured; rounding, only in the whole model."""
    return [name for name in options.only or RIVALS if table == "fit" or "precision" not in RIVALS[name][1]]


def main():
    os.environ.update(ENVIRONMENT)
    command = parser(__doc__)
    add_sizes(command)
    command.add_argument("--length", type=at_least(2), default=24, help="tokens of a sentence at most (default: 24)")
    command.add_argument("--steps", type=at_least(1), default=50, help="calls or batches in a round (default: 50)")
    command.add_argument("--table", choices=TABLES, help="one of the tables alone")
    add_only(command, RIVALS)
    options = command.parse_args()
    if options.quick:
        options.steps, options.rounds = 4, 2
    tables = [options.table] if options.table else list(TABLES)
    with futures.ThreadPoolExecutor() as pool:  # to compile takes longest, and who is ready waits
        ready = {
            table: {name: pool.submit(start_of(name, table, options)).result for name in rivals_of(table, options)}
            for table in tables
        }
    found, last = [], lambda values: values[-1]
    for table in tables:
        measured = in_turn(ready[table], options.rounds)
        found += [{"table": table, **row} for row in rows(measured, TABLES[table], loss=last, device=last)]
    report(found, options, by="table")


if __name__ == "__main__":
    main()
