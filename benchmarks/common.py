"""What the benchmarks share: rivals in processes of their own, measured in turn, and tables of what was found.

Every rival is a module that calls `serve`. It runs in a process of its own, so that nobody's threads spin beside those of
another, and maybe with another interpreter. It prepares itself once, and then waits to be asked for one measurement after
the other.
"""

import argparse
import contextlib
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys
from importlib import metadata

ROOT = pathlib.Path(__file__).resolve().parents[1]
DATA = ROOT.parent / "shared" / "data"

# A file by which the folder of Multi30k is known.
MULTI30K = "train.lc.norm.tok.de.gz"


class Skipped(Exception):
    """Why a rival is not measured, in one sentence."""


def parser(description, rounds=3):
    """A parser with the options that all benchmarks have; without `rounds`, each is measured once."""
    made = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    if rounds is not None:
        made.add_argument(
            "--rounds", type=at_least(1), default=rounds, help=f"times that each is measured (default: {rounds})"
        )
    made.add_argument("--seed", type=int, default=0, help="of weights and data (default: 0)")
    made.add_argument("--quick", action="store_true", help="a minute at most, with sizes of its own")
    made.add_argument(
        "--json", metavar="FILE", type=_in_a_folder, help="write the rows with machine, versions and options"
    )
    return made


def at_least(least):
    """A type of numbers for `argparse`."""

    def number(text):
        if int(text) < least:
            raise argparse.ArgumentTypeError(f"{text} is too small; give {least} or more")
        return int(text)

    return number


def _in_a_folder(text):
    folder = pathlib.Path(text).resolve().parent
    if not folder.is_dir():
        raise argparse.ArgumentTypeError(f"{folder} is no folder; make it, or choose another file")
    return text


def add_sentences(command):
    """The sentences that rivals are measured on, if not made-up ones."""
    command.add_argument(
        "--data",
        metavar="FOLDER",
        type=_multi30k,
        help="of Multi30k, or made-up for sentences that are (default: ../shared/data/multi30k if it is there)",
    )


def _multi30k(text):
    if text == "made-up":
        return text
    folder = pathlib.Path(text).resolve()  # rivals start in another folder
    if not (folder / MULTI30K).is_file():
        raise argparse.ArgumentTypeError(f"{folder} has no {MULTI30K}; give the folder of Multi30k, or made-up")
    return str(folder)


def add_sizes(command):
    """The network and the batches of which rivals are measured."""
    add_sentences(command)
    add_network(command)
    command.add_argument("--batch", type=at_least(1), default=64, help="sentences in a batch (default: 64)")


def add_network(command):
    command.add_argument("--units", type=at_least(1), default=256, help="size of every layer (default: 256)")
    command.add_argument("--vocabulary", type=at_least(50), default=10_000, help="ids on each side (default: 10000)")


def add_only(command, names):
    """Lets some of the rivals be chosen."""

    def chosen(text):
        found = text.split(",")
        for name in found:
            if name not in names:
                raise argparse.ArgumentTypeError(f"{name!r} is not one of {', '.join(names)}")
        return found

    command.add_argument("--only", metavar="NAMES", type=chosen, help=f"some of {', '.join(names)}, joined by commas")


class Rival:
    """A process that measures one rival.

    Args:
        module: that calls `serve`.
        options: a dictionary for it; it finds them as JSON in its first argument.
        python: another interpreter than this one.

    Raises:
        Skipped: the rival cannot be measured here.
    """

    def __init__(self, module, options, python=sys.executable):
        path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
        environment = {"TF_ENABLE_ONEDNN_OPTS": "1", **os.environ, "PYTHONPATH": path, "TF_CPP_MIN_LOG_LEVEL": "3"}
        self._process = subprocess.Popen(
            [str(python), "-m", "benchmarks.rival", module, json.dumps(options)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=None if os.environ.get("BENCHMARKS_VERBOSE") else subprocess.DEVNULL,
            text=True,
            env=environment,
            cwd=ROOT,
        )
        self._answer()

    def measure(self):
        """The figures of one round, a dictionary."""
        with contextlib.suppress(BrokenPipeError):  # who has ended gives no answer
            self._process.stdin.write("\n")
            self._process.stdin.flush()
        return self._answer()

    def close(self):
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        self._process.wait()

    def _answer(self):
        line = self._process.stdout.readline()
        if not line:
            raise Skipped("it ended without an answer; BENCHMARKS_VERBOSE=1 shows why")
        answer = json.loads(line)
        if "skipped" in answer:
            raise Skipped(answer["skipped"])
        return answer


def serve(prepare):
    """Is a rival: prepares it, and measures once for every line of standard input.

    Args:
        prepare: gets the options, and returns a function that returns the figures of a round, a dictionary.
    """
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print is no answer

    def answer(figures):
        print(json.dumps(figures), file=answers, flush=True)

    try:
        measure = prepare(json.loads(sys.argv[1]))
    except Skipped as reason:
        answer({"skipped": str(reason)})
        return
    answer({"ready": True})
    for _ in sys.stdin:
        answer(measure())


def in_turn(rivals, rounds):
    """Measures each rival once in every round, in turn.

    Args:
        rivals: a dictionary from names to functions that return a `Rival`.
        rounds: how many.

    Returns:
        A dictionary from names to lists of what the rounds found. Who is skipped is named on standard error and left out.
    """
    running = {}
    for name, start in rivals.items():
        try:
            running[name] = start()
        except Skipped as reason:
            print(f"skipped: {name}: {reason}", file=sys.stderr)
    found = {name: [] for name in running}
    for number in range(1, rounds + 1):
        for name, rival in list(running.items()):
            try:
                found[name].append(rival.measure())
                print(f"round {number} of {rounds}: {name}: {found[name][-1]}", file=sys.stderr)
            except Skipped as reason:
                print(f"skipped: {name}: {reason}", file=sys.stderr)
                del running[name], found[name]
    for rival in running.values():
        rival.close()
    return found


def rows(found, figure, **others):
    """A row for each rival: the median, lowest and highest of one figure, and its ratio to ours.

    Args:
        found: what `in_turn` returned.
        figure: the name of what is compared.
        others: names of other figures that some have, each with a function from its list of values to what is shown.
    """
    medians = {name: statistics.median(round_[figure] for round_ in rounds) for name, rounds in found.items()}
    made = []
    for name, rounds in found.items():
        values = [round_[figure] for round_ in rounds]
        row = {"name": name, figure: medians[name], "lowest": min(values), "highest": max(values)}
        for other, summary in others.items():
            if all(other in round_ for round_ in rounds):
                row[other] = summary([round_[other] for round_ in rounds])
        row["ratio_to_ours"] = round(medians[name] / medians["ours"], 3) if medians.get("ours") else None
        made.append(row)
    return made


def report(rows, options, by=None, **more):
    """Prints the rows as a table, or as one for each value of the column `by`, and writes them if asked to."""
    if not rows:
        sys.exit("Nothing was measured.")
    for value in dict.fromkeys(row.get(by) for row in rows):
        if by is not None:
            print(f"## {value}\n")
        part = [{name: cell for name, cell in row.items() if name != by} for row in rows if row.get(by) == value]
        print(f"{_table(part)}\n")
    print(_machine(), f"seed {options.seed}", sep="; ")
    if options.json:
        record = {"rows": rows, **more, "machine": machine(), "versions": versions(), "options": vars(options)}
        pathlib.Path(options.json).write_text(json.dumps(record, indent=1, default=str) + "\n", encoding="utf-8")


def _table(rows):
    from keras_attn.tables import markdown_table  # late: not every rival's interpreter has Keras

    names = list(dict.fromkeys(name for row in rows for name in row))
    cells = [[name.replace("_", " ") for name in names]]
    cells += [[_shown(row.get(name)) for name in names] for row in rows]
    return markdown_table(cells)


def _shown(value):
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1_000 else f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) else str("" if value is None else value)


def machine():
    """What the figures depend on: processor, what it can multiply, cores, system."""
    try:
        text = pathlib.Path("/proc/cpuinfo").read_text()
        lines = dict(line.split(":", 1) for line in text.split("\n\n")[0].splitlines() if ":" in line)
        fields = {name.strip(): value.strip() for name, value in lines.items()}
    except OSError:
        fields = {}
    flags = fields.get("flags", "").split()
    return {
        "processor": fields.get("model name") or platform.processor() or platform.machine(),
        "products": [flag for flag in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if flag in flags],
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "system": platform.platform(),
    }


def versions():
    found = {"python": platform.python_version()}
    for name in ("keras_attn", "keras", "tensorflow", "jax", "torch"):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            pass
    return found


def _machine():
    described = machine()
    parts = [f"{described['cores']} cores of {described['processor']} ({', '.join(described['products'])})"]
    return "; ".join(parts + [f"{name} {version}" for name, version in versions().items()])
