"""Peak memory of training: this package beside others, and how it grows with the source and with the vocabulary.

    python -m benchmarks.memory --json memory.json

Measured is the peak of a process's resident memory over a few steps of training, less what was resident right before
the first of them, after all imports and with the weights: gradients, Adam's two moments, what a step keeps for its way
back, and what the framework needs to compile the step. Three tables:

- rivals: the same batches for all, 64 sentences of Multi30k, and the same network of 256 units and 10,000 ids.
- source length: 8 sentences whose targets stay the same while their sources become longer. Where every thousand source
  tokens more cost the same, memory grows linearly.
- vocabulary: 64 sentences of 20 tokens. What lies beyond gradients and moments, three times the size of the weights, is
  what a step keeps; beside it stands the size of one array of all logits, batch x length x vocabulary.

A peak never falls, so every figure comes from a process of its own; reported are median, lowest and highest of the
rounds, in megabytes of 2^20 bytes. Neighbours slow a process down but take none of its memory, so two run at a time. The
peak is VmHWM of /proc, since the `ru_maxrss` of a process begins with that of the process that started it. What was freed
but is kept by the allocator counts as resident, which differs from run to run; so glibc has one arena for all threads,
unless MALLOC_ARENA_MAX says how many (its own default costs everyone a tenth more, and the rounds differ by a twentieth).
"""

import ctypes
import os
import pathlib
import re
import sys
import time
from concurrent import futures

from benchmarks.common import Rival, Skipped, add_only, add_sentences, at_least, parser, report, rows, serve
from benchmarks.data import END, START, real_tokens, training_batches

RIVALS = {
    "ours": {"rival": "ours"},
    "ours-bfloat16": {"rival": "ours", "precision": "mixed_bfloat16"},
    "stock-keras": {"rival": "stock-keras"},
    "pytorch": {"rival": "pytorch"},
}
_TABLES = ("rivals", "source length", "vocabulary")

# Gradients and Adam's two moments; the weights themselves are there before the first step.
_ARRAYS_OF_WEIGHTS = 3

_MEGABYTE = 2**20
_AT_A_TIME = 2


def main():
    command = parser(__doc__)
    add_sentences(command)
    command.add_argument("--steps", type=at_least(1), default=3, help="batches that each trains on (default: 3)")
    add_only(command, RIVALS)
    command.add_argument("--table", choices=_TABLES, help="one of the tables alone")
    options = command.parse_args()
    options.only = options.only or list(RIVALS)
    if options.quick:
        options.steps, options.rounds = 2, 1
    os.environ.setdefault("MALLOC_ARENA_MAX", "1")
    points = [point for point in _points(options.quick) if options.table in (None, point[0])]
    found = measured(points, options)
    _add_slopes(found)
    _add_what_a_step_keeps(found)
    report(found, options, by="table")


def _points(quick):
    """What is measured: the table, the names of the rivals, the sizes."""
    if quick:
        rivals, two = ("ours", "stock-keras"), ("ours",)
        lengths, vocabularies = (10, 40), (200,)
        usual = long = wide = {"units": 16, "vocabulary": 200, "batch": 8}
    else:
        rivals, two = tuple(RIVALS), ("ours", "stock-keras")
        lengths, vocabularies = (100, 250, 500, 1_000, 2_000), (2_000, 4_000, 8_000, 16_000, 32_000, 64_000)
        usual = {"units": 256, "vocabulary": 10_000, "batch": 64}
        long = {"units": 256, "vocabulary": 1_000, "batch": 8}
        wide = {"units": 64, "batch": 64}
    return [
        ("rivals", rivals, usual),
        *(("source length", two, {**long, "source_length": length, "target_length": 25}) for length in lengths),
        *(
            ("vocabulary", two, {**wide, "vocabulary": size, "source_length": 20, "target_length": 20})
            for size in vocabularies
        ),
    ]


def measured(points, options):
    """A row for each rival at each point."""
    shared = {"data": options.data, "steps": options.steps, "seed": options.seed}
    found = []
    with futures.ThreadPoolExecutor(_AT_A_TIME) as pool:
        waiting = [
            {
                name: [
                    pool.submit(_in_fresh_process, {**shared, **sizes, **RIVALS[name]}) for _ in range(options.rounds)
                ]
                for name in names
                if name in options.only
            }
            for _, names, sizes in points
        ]
        try:
            for (table, _, sizes), rivals in zip(points, waiting):
                peaks = rows(_answers(rivals), "peak_megabytes", parameters=max)
                found += [{"name": row["name"], "table": table, **sizes, **row} for row in peaks]
        except BaseException:
            pool.shutdown(cancel_futures=True)  # who interrupts does not want to wait for those that have not begun
            raise
    return found


def _answers(rivals):
    """What the rivals that are not skipped have found."""
    found = {}
    for name, rounds in rivals.items():
        try:
            found[name] = [round_.result() for round_ in rounds]
            print(f"{name}: {found[name]}", file=sys.stderr)
        except Skipped as reason:
            print(f"skipped: {name}: {reason}", file=sys.stderr)
    return found


def _in_fresh_process(options):
    rival = Rival("benchmarks.memory", options)
    try:
        return rival.measure()
    finally:
        rival.close()


def _add_slopes(found):
    """How much every thousand source tokens more cost, beside the next shorter source."""
    before = {}
    for row in found:
        if row["table"] == "source length":
            shorter, before[row["name"]] = before.get(row["name"]), row
            if shorter:
                tokens = row["batch"] * (row["source_length"] - shorter["source_length"])
                more = row["peak_megabytes"] - shorter["peak_megabytes"]
                row["megabytes_per_1000_more_source_tokens"] = more / tokens * 1_000


def _add_what_a_step_keeps(found):
    for row in found:
        if row["table"] == "vocabulary":
            weights = 4 * row["parameters"] / _MEGABYTE
            row["beyond_the_weights"] = row["peak_megabytes"] - _ARRAYS_OF_WEIGHTS * weights
            row["array_of_logits"] = 4 * row["batch"] * row["target_length"] * row["vocabulary"] / _MEGABYTE


# What a process of its own does.


def prepare(options):
    """Training at one size, for `serve`: target tokens a second, and the peak beyond what there was before it."""
    batches = _random_batches(options) if "target_length" in options else _batches_of_sentences(options)
    fit, parameters = (_pytorch if options["rival"] == "pytorch" else _keras)(options)
    before = resident_megabytes()

    def measure():
        started = time.perf_counter()
        fit(batches)
        return {
            "tokens_per_second": real_tokens(batches) / (time.perf_counter() - started),
            "peak_megabytes": peak_megabytes() - before,
            "parameters": parameters,
        }

    return measure


def resident_megabytes():
    """What this process has now, after giving back what the allocator only keeps."""
    try:
        ctypes.CDLL(None).malloc_trim(0)
    except AttributeError:
        pass  # not glibc
    return _memory("VmRSS")


def peak_megabytes():
    """The most that this process has ever had."""
    return _memory("VmHWM")


def _memory(name):
    try:
        return int(re.search(rf"{name}:\s*(\d+)", pathlib.Path("/proc/self/status").read_text())[1]) / 1024
    except OSError:
        raise Skipped("memory is read from /proc, which only Linux has") from None


def _batches_of_sentences(options):
    # In no order of length, so that one batch is as large as the other.
    return training_batches(options | {"rounds": 1, "warm_up": 0}, like_length=False)


def _random_batches(options):
    """Sentences of random ids, all of one length."""
    import numpy as np

    rng = np.random.default_rng(options["seed"])

    def ids(length):
        return rng.integers(END + 1, options["vocabulary"], (options["batch"], length), "int32")

    def batch():
        source, labels = ids(options["source_length"]), ids(options["target_length"])
        return source, np.insert(labels[:, :-1], 0, START, axis=1), labels

    return [batch() for _ in range(options["steps"])]


def _keras(options):
    from benchmarks.rivals.keras_training import trainer

    model, fit = trainer(options)
    return fit, model.count_params()


def _pytorch(options):
    import torch

    from benchmarks.rivals.pytorch_training import Network, parameters_of, trainer

    torch.set_num_threads(1)  # with two processes on a few cores, its threads would wait for each other
    torch.manual_seed(options["seed"])
    model = Network(options["units"], options["vocabulary"])
    return trainer(model), parameters_of(model)


if __name__ == "__main__":
    # A rival is started with its options in JSON, the command with options that begin with a dash.
    serve(prepare) if sys.argv[1:] and sys.argv[1].startswith("{") else main()
