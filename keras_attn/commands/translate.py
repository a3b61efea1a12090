"""`translate`: lines in, lines out."""

import itertools
import shlex
import sys

from keras_attn.commands.common import (
    add_batch_size,
    add_models,
    add_output,
    as_json,
    output_of,
    prints,
    progress,
    translator_of,
)
from keras_attn.commands.search_options import add_search, search_arguments
from keras_attn.errors import InputError

HELP = "Translates texts, the lines of a file, or those of standard input."
EXAMPLES = """\
  %(prog)s --model runs/dates "25 décembre 1997"
  echo "25 décembre 1997" | %(prog)s --model runs/dates --beam 5 --n-best 3
  %(prog)s --model runs/dates --input dates.txt --output answers.txt --resume
"""


def add_options(command):
    command.set_defaults(after_interruption=_how_to_go_on)
    command.add_argument("texts", metavar="TEXT", nargs="*", help="what to translate")
    add_models(command)
    command.add_argument("--input", metavar="FILE", help="file with one text a line (default: standard input)")
    add_output(command, "file for the translations (default: standard output)")
    command.add_argument("--resume", action="store_true", help="go on with an interrupted --output")
    command.add_argument("--json", action="store_true", help="a line of JSON for each: tokens, scores, attention")
    command.add_argument("--prefix", metavar="TEXT", help="what every target must begin with")
    add_batch_size(command)
    command.add_argument(
        "--window",
        type=int,
        metavar="N",
        help="lines that are read and sorted by length before they are translated (default: 4,096; 1 answers each at once)",
    )
    add_search(command, n_best="write the N best of each text, as INDEX ||| TEXT ||| SCORE")


def run(options):
    if options.texts and options.input:
        raise InputError("The texts are on the command line and in --input; give one of the two.")
    if options.resume and options.output in (None, "-"):
        raise InputError("--resume goes on with a file; add --output.")
    if options.window is not None and options.window < 1:
        raise InputError(f"--window is {options.window}, but it must be 1 or more.")
    settings = {name: value for name, value in vars(options).items() if name not in _DO_NOT_MATTER}
    output = output_of(options, settings=settings, resume=options.resume)
    translator = translator_of(options, batch_size=options.batch_size, **search_arguments(options))
    from keras_attn.data.pairs import read_lines
    from keras_attn.translator import WINDOW

    # Whoever types a line waits for its answer.
    typed = not (options.texts or options.input) and sys.stdin.isatty()
    window = options.window or (1 if typed else WINDOW)
    with output as file:
        # From the beginning of a window: what is beside a text decides how its scores are rounded.
        again = file.done % window
        lines = itertools.islice(options.texts or read_lines(options.input or "-"), file.done - again, None)
        answers = itertools.islice(translator.stream(lines, options.prefix, window), again, None)
        counted = progress(answers, not prints(options), answered=options.texts or options.input, done=file.done)
        for number, hypotheses in enumerate(counted, file.done):
            file.write(*_written(options, number, hypotheses))


# The options that can be others when a file is gone on with.
_DO_NOT_MATTER = (
    "command", "prog", "after_interruption", "arguments", "config", "output", "overwrite", "resume", "batch_size", "window",
)  # fmt: skip


def _written(options, number, hypotheses):
    if options.json:
        return [as_json(hypothesis, source=number) for hypothesis in hypotheses]
    if options.n_best is None:
        return [hypotheses[0].text]
    return [f"{number} ||| {hypothesis.text} ||| {hypothesis.score:.6f}" for hypothesis in hypotheses]


def _how_to_go_on(options):
    if not options.output:
        return ""
    arguments = [argument for argument in options.arguments if argument != "--resume"]
    return f" Go on with: {options.prog} --resume {shlex.join(arguments)}"
