"""`rescore`: an n-best list in the order that another model gives it."""

from keras_attn.commands.common import (
    add_batch_size,
    add_models,
    add_output,
    output_of,
    prints,
    progress,
    translator_of,
)
from keras_attn.files import refuse_one_input_twice

HELP = "Puts an n-best list, INDEX ||| TEXT ||| SCORE, in the order of a model's own log-probabilities."
EXAMPLES = """\
  keras-attn translate --model runs/dates --input dates.txt --beam 5 --n-best 5 |
      %(prog)s --model runs/dates-2 --source dates.txt --n-best - --weight 0.5
"""


def add_options(command):
    add_models(command)
    command.add_argument("--source", metavar="FILE", required=True, help="file with one source a line")
    command.add_argument("--n-best", metavar="FILE", required=True, help="the list; - for standard input")
    command.add_argument(
        "--weight", type=float, default=1.0, metavar="X", help="of the new score; the old has the rest (default: 1)"
    )
    add_output(command, "file for the new list (default: standard output)")
    add_batch_size(command)


def run(options):
    refuse_one_input_twice({"--source": options.source, "--n-best": options.n_best})
    from keras_attn.data.pairs import read_lines
    from keras_attn.scoring import read_n_best, rescore

    output = output_of(options)
    sources = list(read_lines(options.source))
    candidates = read_n_best(read_lines(options.n_best), options.n_best)
    translator = translator_of(options, batch_size=options.batch_size)
    with output as file:
        lists = rescore(translator, sources, candidates, options.weight)
        for group in progress(lists, not prints(options)):
            file.write(*(f"{each.source} ||| {each.text} ||| {each.score:.6f}" for each in group))
