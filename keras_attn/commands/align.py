"""`align`: which source word each target word came from."""

import json

from keras_attn.commands.common import (
    add_batch_size,
    add_models,
    add_output,
    add_pairs,
    output_of,
    pairs_of,
    precision_of,
    prints,
    progress,
    translator_of,
)
from keras_attn.errors import InputError

HELP = "Aligns given pairs by attention: a line of links SOURCE-TARGET each, counted from 0 (the Pharaoh format)."
EXAMPLES = """\
  printf '25 décembre 1997\\t1997-12-25\\n' | %(prog)s --model runs/dates --tsv -
  %(prog)s --model runs/dates --tsv pairs.tsv --json --output alignments.jsonl
  %(prog)s --model runs/dates --reverse-model runs/dates-reversed --tsv pairs.tsv --symmetrize intersection
"""

SYMMETRIZATIONS = ("intersection", "union", "grow-diag", "grow-diag-final", "grow-diag-final-and")


def add_options(command):
    add_models(command)
    add_pairs(command)
    command.add_argument("--reverse-model", metavar="FOLDER", help="a model of the other direction, to symmetrise with")
    command.add_argument(
        "--symmetrize",
        metavar="METHOD",
        choices=SYMMETRIZATIONS,
        help=f"{', '.join(SYMMETRIZATIONS)} (default: grow-diag-final-and, with --reverse-model)",
    )
    command.add_argument(
        "--level",
        choices=("words", "tokens"),
        help="what is linked: words between spaces, or the model's tokens (default: tokens where these are characters, "
        "otherwise words)",
    )
    command.add_argument("--json", action="store_true", help="a line of JSON each, with words, links and weights")
    add_output(command, "file for the lines (default: standard output)")
    add_batch_size(command)


def run(options):
    if options.symmetrize and not options.reverse_model:
        raise InputError("--symmetrize joins the alignments of two models; add --reverse-model.")
    output, pairs = output_of(options), pairs_of(options)
    translator = translator_of(options, batch_size=options.batch_size)
    from keras_attn.aligning import align
    from keras_attn.translator import Translator

    alike = {"batch_size": options.batch_size, "precision": precision_of(options)}
    reverse = Translator.load(options.reverse_model, **alike) if options.reverse_model else None
    alignments = align(translator, pairs, reverse, options.symmetrize or "grow-diag-final-and", options.level)
    with output as file:
        for alignment in progress(alignments, not prints(options), answered=options.tsv or options.source):
            file.write(_as_json(alignment) if options.json else alignment.pharaoh)


def _as_json(alignment):
    fields = alignment._asdict() | {"weights": alignment.weights.tolist()}
    return json.dumps(fields, ensure_ascii=False)
