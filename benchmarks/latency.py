"""How long one sentence takes: our SavedModel beside one as TensorFlow's tutorials export it.

    python -m benchmarks.latency --json latency.json

A sentence of 12 words goes through each SavedModel again and again, in a process that has loaded nothing else, on its own
and warm. Every round starts a process for each, in turn. All write 12 tokens, with random weights and the same sizes:

- ours: text in; the translation, its tokens, their scores and the attention weights out (`serving_default`);
- ours-bfloat16: the same with a model altogether in bfloat16, as `--precision bfloat16` has it;
- ours-shortlist: the same as ours over a shortlist of made-up candidates, as many as learned ones would be;
- ours-attend: text and target in, attention weights out (`attend`);
- tutorial: text in, text out, by a `tf.function` that calls Keras's own layers for one token after the other.

Reported are milliseconds: the median of a round's calls, as median, lowest and highest of the rounds; the 99th percentile
and that over the median; and from `tf.saved_model.load` to the first answer. Below them stands what `import keras_attn`
takes after `import keras`, in fresh processes too.
"""

import functools
import itertools
import pathlib
import random
import statistics
import string
import subprocess
import sys
import tempfile

from benchmarks.common import ROOT, Rival, add_network, add_only, at_least, in_turn, parser, report, rows
from benchmarks.data import END

WORDS = 12

# Name: the SavedModel, its signature, and what that gets.
RIVALS = {
    "ours": ("ours", "serving_default", ("texts",)),
    "ours-bfloat16": ("ours-bfloat16", "serving_default", ("texts",)),
    "ours-shortlist": ("ours-shortlist", "serving_default", ("texts",)),
    "ours-attend": ("ours", "attend", ("texts", "targets")),
    "tutorial": ("tutorial", "serving_default", ("texts",)),
}

LEFT_OUT_IN_A_HURRY = {"ours-bfloat16", "ours-shortlist"}

IMPORT = """
import time
start = time.perf_counter()
import keras
between = time.perf_counter()
import keras_attn
print(between - start, time.perf_counter() - between)
"""


class Fresh:
    """A rival that has a new process for every round."""

    def __init__(self, module, options):
        self._start = functools.partial(Rival, module, options)

    def measure(self):
        rival = self._start()
        try:
            return rival.measure()
        finally:
            rival.close()

    def close(self):
        pass


def main():
    command = parser(__doc__, rounds=5)
    add_network(command)
    command.add_argument("--calls", type=at_least(2), default=500, help="calls in a round (default: 500)")
    add_only(command, RIVALS)
    options = command.parse_args()
    if options.quick:
        options.calls, options.rounds = min(options.calls, 100), 1
    with tempfile.TemporaryDirectory() as folder:
        names = options.only or [name for name in RIVALS if not (options.quick and name in LEFT_OUT_IN_A_HURRY)]
        found = in_turn({name: functools.partial(start, name, options, folder) for name in names}, options.rounds)
    median = statistics.median
    figures = rows(found, "milliseconds", p99=median, load_to_first=median)
    for row in figures:
        row["p99_to_median"] = row["p99"] / row["milliseconds"]
    imports = import_milliseconds(options.rounds)
    report(figures, options, import_milliseconds=imports)
    print(f"\nimport keras: {imports['keras']:.0f} ms; import keras_attn after it: {imports['keras_attn']:.0f} ms")


def start(name, options, folder):
    """Writes the SavedModel if it is not there yet."""
    saved, signature, inputs = RIVALS[name]
    folder = pathlib.Path(folder, saved)
    settings = vars(options) | {"folder": str(folder), "length": WORDS}
    if not folder.exists():
        Rival("benchmarks.rivals.saved_models", settings | {"rival": saved}).close()
    sentence = " ".join(random.Random(options.seed).choices(words(options.vocabulary), k=WORDS))
    asked = {"signature": signature, "inputs": dict.fromkeys(inputs, sentence)}
    return Fresh("benchmarks.rivals.serving", settings | asked)


def words(vocabulary):
    """As many words as there are ids beside the special ones."""
    letters = itertools.product(string.ascii_lowercase, repeat=4)
    return ["".join(word) for word in itertools.islice(letters, vocabulary - END - 1)]


def import_milliseconds(processes):
    """Medians over fresh processes."""
    done = [
        subprocess.run([sys.executable, "-c", IMPORT], cwd=ROOT, capture_output=True, text=True, check=True).stdout
        for _ in range(processes)
    ]
    keras, ours = zip(*(map(float, printed.split()) for printed in done))
    return {"keras": statistics.median(keras) * 1e3, "keras_attn": statistics.median(ours) * 1e3}


if __name__ == "__main__":
    main()
