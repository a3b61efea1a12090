"""`shortlist`: which tokens a source can be translated with, for faster searches."""

import functools
import json

from keras_attn.commands.common import add_output, add_pairs, output_of, pairs_of

HELP = "Learns from pairs which tokens a translation can be made of; with --shortlist, searches look at no others."
EXAMPLES = """\
  %(prog)s --model runs/dates --source dates.txt --target right.txt --output shortlist.json
  %(prog)s --model runs/dates --tsv pairs.tsv --candidates 5 --output short.json
"""


def add_options(command):
    command.add_argument(
        "--model", metavar="FOLDER", required=True, help="folder of the training run whose tokens these are"
    )
    add_pairs(command)
    command.add_argument(
        "--candidates", type=int, metavar="N", help="target tokens for each source token (default: 20)"
    )
    command.add_argument("--frequent", type=int, metavar="N", help="as many that are always possible (default: 100)")
    add_output(command, "file for the shortlist, JSON (default: standard output)")


def run(options):
    output, pairs = output_of(options), pairs_of(options)
    from keras_attn.shortlisting import learn_shortlist
    from keras_attn.translator import read_texts

    given = {name: getattr(options, name) for name in ("candidates", "frequent") if getattr(options, name) is not None}
    found = learn_shortlist(pairs, *read_texts(options.model), **given)
    as_json = functools.partial(json.dumps, ensure_ascii=False)
    with output as file:
        file.write("{\n" + ",\n".join(f"{as_json(token)}: {as_json(found[token])}" for token in found) + "\n}")
