"""`shortlist`: which tokens a source can be translated with, for faster searches."""

import functools
import json

from keras_attn.commands.common import add_models, add_output, add_pairs, output_of, pairs_of
from keras_attn.errors import InputError

HELP = "Learns from pairs which tokens a translation can be made of; with --shortlist, searches look at no others."
EXAMPLES = """\
  %(prog)s --model runs/dates --source dates.txt --target right.txt --output shortlist.json
  %(prog)s --model runs/dates --tsv pairs.tsv --candidates 5 --output short.json
"""


def add_options(command):
    add_models(command, together=False)
    add_pairs(command)
    command.add_argument(
        "--candidates", type=int, metavar="N", help="target tokens for each source token (default: 20)"
    )
    command.add_argument("--frequent", type=int, metavar="N", help="as many that are always possible (default: 100)")
    add_output(command, "file for the shortlist, JSON (default: standard output)")


def run(options):
    if len(options.models) > 1:
        raise InputError("--model is given several times, but a shortlist is of the tokens of one model; give it once.")
    output, pairs = output_of(options), pairs_of(options)
    from keras_attn.shortlisting import learn_shortlist
    from keras_attn.translator import read_texts

    given = {name: getattr(options, name) for name in ("candidates", "frequent") if getattr(options, name) is not None}
    found = learn_shortlist(pairs, *read_texts(options.models[0]), **given)
    as_json = functools.partial(json.dumps, ensure_ascii=False)
    with output as file:
        file.write("{\n" + ",\n".join(f"{as_json(token)}: {as_json(found[token])}" for token in found) + "\n}")
