"""How speed and memory of this package grow with every size: one axis after the other, the rest at what is usual.

    python -m benchmarks.growth --json growth.json --plot growth
    python -m benchmarks.growth --axis vocabulary --rivals

- vocabulary, batch, length, units, layers: target tokens a second in training, on sentences of random ids that are all
  of one length; beside it the peak of resident memory beyond what the process had before the first step, as in
  `benchmarks.memory`. The usual sizes: 10,000 ids, 64 sentences, 20 tokens on both sides, 256 units, one layer.
- beam: sentences a second in decoding, of the same sizes, to 20 tokens each; the peak is beyond that before the first.
- corpus: microseconds for a target token in training as `train.py` does it, from a file on disk that has 1, 10 and 100
  times as many lines of made-up sentences; the seconds until the first batch is there; and the peak beyond what the
  process had before it opened the file, weights included. Every size trains on as many batches, not on the whole file.

Every point has a process of its own, and so has stock Keras at the same point with --rivals, in turn with ours. Reported
are median, lowest and highest speed of the rounds. With --quick all is tiny, nothing is compiled, and one process does it
all: the figures mean nothing.
"""

import os
import pathlib
import random
import statistics
import sys
import tempfile
import time

from benchmarks import memory
from benchmarks.common import Rival, at_least, in_turn, parser, report, rows, serve

USUAL = {"vocabulary": 10_000, "batch": 64, "length": 20, "units": 256, "layers": 1}
TINY = {"vocabulary": 200, "batch": 4, "length": 5, "units": 16, "layers": 1}

# Values, and those of --quick.
AXES = {
    "vocabulary": ((2_000, 4_000, 8_000, 16_000, 32_000, 64_000), (500,)),
    "batch": ((16, 32, 64, 128, 256), (8,)),
    "length": ((10, 20, 50, 100, 200), (10,)),
    "units": ((64, 128, 256, 512, 1_024), (32,)),
    "layers": ((1, 2, 3, 4), (2,)),
    "beam": ((1, 2, 4, 8, 16), (2,)),
    "corpus": ((1, 10, 100), (2,)),
}
_WITH_RIVALS = ("vocabulary", "batch", "length", "units")  # stock Keras is one network of one layer

_LABELS = {
    "vocabulary": "ids in the vocabulary",
    "batch": "sentences in a batch",
    "length": "tokens in a sentence",
    "units": "units of a layer",
    "layers": "layers of encoder and decoder each",
    "beam": "width of the beam",
    "corpus": "lines in the file",
    "tokens_per_second": "target tokens a second",
    "sentences_per_second": "sentences a second",
    "peak_megabytes": "peak megabytes",
}

# More words than the vocabulary of a corpus has room for, so that its size does not depend on the number of lines.
_WORDS, _CORPUS_VOCABULARY = 8_000, 5_000


def main():
    command = parser(__doc__)
    command.add_argument("--axis", choices=AXES, help="one axis alone")
    command.add_argument("--rivals", action="store_true", help="stock Keras beside ours")
    command.add_argument("--tokens", type=at_least(1), default=20_000, help="target tokens in a round (default: 20000)")
    command.add_argument("--lines", type=at_least(100), default=5_000, help="of the smallest corpus (default: 5000)")
    command.add_argument("--plot", metavar="FOLDER", help="draw each axis")
    options = command.parse_args()
    if options.quick:
        options.tokens, options.rounds, options.lines = 100, 1, 200
    os.environ.setdefault("MALLOC_ARENA_MAX", "1")  # as `benchmarks.memory` has it
    axes = [options.axis] if options.axis else list(AXES)
    points = [(axis, value) for axis in axes for value in AXES[axis][1 if options.quick else 0]]
    with tempfile.TemporaryDirectory() as folder:
        found = [row for point in points for row in measured(*point, folder, options)]
    report(found, options, by="axis", usual=TINY if options.quick else USUAL)
    if options.plot:
        for axis in dict.fromkeys(row["axis"] for row in found):
            print(f"\n{plot([row for row in found if row['axis'] == axis], pathlib.Path(options.plot))}")


def measured(axis, value, folder, options):
    """The rows of one point: ours, and stock Keras if asked for."""
    sizes = {**(TINY if options.quick else USUAL), axis: value}
    steps = max(2, options.tokens // (sizes["batch"] * sizes["length"]))
    given = {"axis": axis, "steps": steps, "seed": options.seed, **sizes}
    speed, shown, more = _speed(axis), {"axis": axis, axis: value}, {}
    if axis == "corpus":
        lines = options.lines * value
        path = write_corpus(pathlib.Path(folder) / f"{lines}.tsv", options.lines, value, options.seed)
        given["tsv"], shown[axis] = str(path), lines
        shown["file_megabytes"] = path.stat().st_size / 2**20
        more = {"seconds_to_first_batch": statistics.median}
    names = ["ours", *(["stock-keras"] if options.rivals and axis in _WITH_RIVALS else [])]
    process = _ThisProcess if options.quick else Rival
    start = {name: lambda name=name: process("benchmarks.growth", {**given, "rival": name}) for name in names}
    print(f"{axis} {value}", file=sys.stderr)
    found = in_turn(start, options.rounds)
    made = [{"name": row["name"], **shown, **row} for row in rows(found, speed, peak_megabytes=max, **more)]
    if axis == "corpus":
        for row in made:
            row["microseconds_per_token"] = 1e6 / row[speed]
    return made


def _speed(axis):
    return "sentences_per_second" if axis == "beam" else "tokens_per_second"


class _ThisProcess:
    """In place of a `Rival`, to be quick."""

    def __init__(self, _module, options):
        import tensorflow as tf

        tf.config.run_functions_eagerly(True)  # tracing takes longer than all else
        self.measure = prepare(options)

    def close(self):
        pass


def write_corpus(path, lines, times, seed):
    """Sentences of 5 to 15 words with themselves turned round, all of them again with another number as often as asked."""
    rng = random.Random(seed)
    sentences = [[f"word{rng.randrange(_WORDS)}" for _ in range(rng.randint(5, 15))] for _ in range(lines)]
    with path.open("w", encoding="utf-8") as file:
        for number in range(times):
            for words in sentences:
                file.write(f"{number} {' '.join(words)}\t{' '.join(reversed(words))} {number}\n")
    return path


def plot(found, folder):
    """Draws speed and memory of one axis above each other, and returns the path of the picture."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot, ticker

    axis = found[0]["axis"]
    speed = _speed(axis)
    canvas, panels = pyplot.subplots(2, sharex=True, figsize=(6, 6), layout="constrained")
    for name in dict.fromkeys(row["name"] for row in found):
        of_one = [row for row in found if row["name"] == name]
        column = lambda figure, rows=of_one: [row[figure] for row in rows]
        panels[0].fill_between(column(axis), column("lowest"), column("highest"), alpha=0.2, linewidth=0)
        panels[0].plot(column(axis), column(speed), marker="o", label=name)
        panels[1].plot(column(axis), column("peak_megabytes"), marker="o", label=name)
    for panel, figure in zip(panels, (speed, "peak_megabytes")):
        panel.set(ylabel=_LABELS[figure], ylim=(0, 1.1 * panel.dataLim.ymax))
        panel.yaxis.set_major_formatter(ticker.StrMethodFormatter("{x:,.0f}"))
        panel.grid(alpha=0.3)
    panels[0].legend()
    panels[1].set(xlabel=_LABELS[axis], xscale="log")
    values = sorted({row[axis] for row in found})
    panels[1].set_xticks(values, [f"{value:,}" for value in values])
    panels[1].minorticks_off()
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{axis}.png"
    canvas.savefig(path, dpi=150)
    pyplot.close(canvas)
    return path


# What a process of its own does.


def prepare(options):
    return {"beam": _decoding, "corpus": _training_from_a_file}.get(options["axis"], _training)(options)


def _training(options):
    layers = {"encoder_layers": options["layers"], "decoder_layers": options["layers"]}
    lengths = {"source_length": options["length"], "target_length": options["length"]}
    measure = memory.prepare({**options, **lengths, "model": layers})
    measure()  # the first time, everything is traced
    return measure


def _decoding(options):
    import keras
    import numpy as np

    from keras_attn import AttentionSeq2Seq, BeamSearch
    from keras_attn.ids import END

    keras.utils.set_random_seed(options["seed"])
    length, vocabulary = options["length"], options["vocabulary"]
    model = AttentionSeq2Seq(vocabulary, vocabulary, units=options["units"])
    model.build()
    # Nothing ends before its limit, so that every width takes as many steps.
    search = BeamSearch(model, width=options["beam"], max_length=length, min_length=length)
    source = np.random.default_rng(options["seed"]).integers(END + 1, vocabulary, (options["batch"], length), "int32")
    before = memory.resident_megabytes()
    search(source)

    def measure():
        started = time.perf_counter()
        for _ in range(options["steps"]):
            search(source).tokens.numpy()
        sentences = options["steps"] * len(source)
        return {
            "sentences_per_second": sentences / (time.perf_counter() - started),
            "peak_megabytes": memory.peak_megabytes() - before,
        }

    return measure


def _training_from_a_file(options):
    """The steps of `keras_attn.training.train` up to `fit`."""
    import keras
    import numpy as np

    from keras_attn.config import TrainingConfig
    from keras_attn.training import building, preparing

    sizes = {"units": options["units"], "batch_size": options["batch"], "vocabulary_size": _CORPUS_VOCABULARY}
    units = {"source_unit": "words", "target_unit": "words"}
    config = TrainingConfig(tsv=options["tsv"], seed=options["seed"], **sizes, **units).resolved()
    keras.utils.set_random_seed(config.seed)
    before, started = memory.resident_megabytes(), time.perf_counter()
    parts = preparing.load_parts(config)
    texts = preparing.learn_texts(config, parts.train)
    batches, _ = preparing.batches_of(config, parts, *texts)
    config = config.suited_to(batches.pairs, len(batches))
    dataset = batches.dataset().take(options["steps"])
    next(iter(dataset))
    seconds = time.perf_counter() - started
    tokens = sum(int(np.count_nonzero(labels)) for _, labels in dataset)
    model = building.model_to_train(config, texts, len(batches))

    def measure():
        started = time.perf_counter()
        model.fit(dataset, shuffle=False, verbose=0)
        return {
            "tokens_per_second": tokens / (time.perf_counter() - started),
            "peak_megabytes": memory.peak_megabytes() - before,
            "seconds_to_first_batch": seconds,
        }

    measure()
    return measure


if __name__ == "__main__":
    # A rival is started with its options in JSON, the command with options that begin with a dash.
    serve(prepare) if sys.argv[1:] and sys.argv[1].startswith("{") else main()
