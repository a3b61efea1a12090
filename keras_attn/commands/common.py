"""Options that several commands share, and what becomes of them."""

import datetime
import json
import pathlib
import sys
import time

from keras_attn.errors import InputError
from keras_attn.files import refuse_one_input_twice


def names(text):
    """`a, b` as a list."""
    return [name.strip() for name in text.split(",") if name.strip()]


def add_models(command, required=True, together=True):
    """The option for a model, and for what several of them are averaged by if they can translate together."""
    help = "folder of a training run, or dates, a small model that comes with the package"
    if together:
        help += "; given several times, the models translate together"
    command.add_argument("--model", dest="models", metavar="FOLDER", action="append", required=required, help=help)
    command.set_defaults(ensemble=None, precision=None)
    if not together:
        return
    command.add_argument(
        "--ensemble",
        metavar="AVERAGE",
        choices=("probabilities", "logarithms"),
        help="what several models average, probabilities or logarithms (default: probabilities)",
    )
    command.add_argument(
        "--precision",
        choices=("float32", "bfloat16_products", "bfloat16"),
        help="what models compute in: bfloat16 rounds all values and the weights; bfloat16_products only what is "
        "multiplied, on processors with AMX (default: as it was saved)",
    )


def add_batch_size(command):
    command.add_argument("--batch-size", type=int, default=64, metavar="N", help="texts at a time (default: 64)")


def add_output(command, help):
    command.add_argument("--output", metavar="FILE", help=help)
    command.add_argument("--overwrite", action="store_true", help="replace the output if it is there already")


def output_of(options, **growing):
    """What `add_output` names, to `write` lines to: a file that is there whole or not at all, or standard output.

    Args:
        **growing: of `GrowingFile`, for one that can be gone on with.
    """
    from keras_attn.commands.streaming import GrowingFile, Lines

    if options.output in (None, "-"):
        return Lines(sys.stdout)
    return GrowingFile(options.output, overwrite=options.overwrite, **growing)


def require_picture(path, endings=(".png", ".svg", ".pdf")):
    """Raises an `InputError` where a picture is asked for, but its path has another ending."""
    if path is not None and pathlib.Path(path).suffix.lower() not in endings:
        raise InputError(f"{path} is no picture; give a path that ends in {', '.join(endings)}.")


def prints(options):
    """Whether lines go to a terminal, where a count of them would be in the way."""
    return options.output in (None, "-") and sys.stdout.isatty()


def add_pairs(command, targets="the targets"):
    command.add_argument("--tsv", metavar="FILE", help="file with a line source<TAB>target each; - for standard input")
    command.add_argument("--source", metavar="FILE", help="file with one source a line, with --target")
    command.add_argument("--target", metavar="FILE", help=f"file with {targets}, line by line")


def pairs_of(options):
    """An iterable of `(source, target)`, read as it is asked for."""
    from keras_attn.data.pairs import iterate_parallel, iterate_tsv

    if (options.source is None) != (options.target is None):
        raise InputError("--source and --target belong together; give both files or neither.")
    if (options.tsv is None) == (options.source is None):
        raise InputError("The pairs come from --tsv, or from --source and --target; give one of the two.")
    refuse_one_input_twice({"--source": options.source, "--target": options.target})
    return iterate_tsv(options.tsv) if options.tsv is not None else iterate_parallel(options.source, options.target)


def translator_of(options, **more):
    """The translator of `add_models`, with options of its own."""
    if options.ensemble and len(options.models) < 2:
        raise InputError("--ensemble says how several models are averaged, but there is one; give --model again.")
    from keras_attn.kernels.cores import one_thread_an_operation
    from keras_attn.products import let_products_round
    from keras_attn.translator import Translator

    one_thread_an_operation()
    if options.precision == "bfloat16_products":
        let_products_round()
    average = options.ensemble or "probabilities"
    return Translator.load(options.models, average=average, precision=precision_of(options), **more)


def precision_of(options):
    """The precision of models, which is not asked about products: all of a process round, or none."""
    return None if options.precision == "bfloat16_products" else options.precision


def as_json(translation, **more):
    """A `Translation` as a line of JSON."""
    fields = translation._asdict()
    for name in ("ids", "source_ids"):
        del fields[name]
    for name in ("token_log_probabilities", "attention"):
        fields[name] = fields[name].tolist()
    return json.dumps(fields | more, ensure_ascii=False)


def progress(iterable, shown=True, answered=None, done=0):
    """Yields the elements of an iterable, and counts them on standard error if somebody sees it there.

    Args:
        iterable: the elements.
        shown: whether they may be counted.
        answered: what they answer, a list or the path of a file with one a line; it says how many there will be.
        done: how many of these are answered already.
    """
    if not (shown and sys.stderr.isatty()):
        yield from iterable
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (BarColumn(), TextColumn("{task.completed:,.0f}{task.fields[more]}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        total = _count(answered)
        task = bar.add_task("", total=total, completed=done, more="")
        started = time.monotonic()
        for number, element in enumerate(iterable, 1):
            yield element
            # Since the start: answers come a window at a time, and between two windows none.
            speed = number / max(time.monotonic() - started, 1e-3)
            of, left = "", ""
            if total is not None:
                of = f" of {total:,}"
                left = f", {datetime.timedelta(seconds=int((total - done - number) / speed))} left"
            bar.update(task, completed=done + number, more=f"{of}, {speed:,.0f} a second{left}")


def _count(answered):
    """How many there are of what is answered, or `None` where only its end will tell."""
    if answered in (None, "-"):
        return None
    if isinstance(answered, list):
        return len(answered)
    from keras_attn.data.pairs import read_lines

    try:
        return sum(1 for _ in read_lines(answered))
    except InputError:
        return None  # which is reported in its turn, after the answers to all that comes before
