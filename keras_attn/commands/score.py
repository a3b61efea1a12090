"""`score`: what a model thinks of given targets."""

import math
import sys

from keras_attn.commands.common import (
    add_batch_size,
    add_models,
    add_output,
    add_pairs,
    as_json,
    output_of,
    pairs_of,
    prints,
    progress,
    translator_of,
)
from keras_attn.ids import END, SPECIAL_TOKENS
from keras_attn.tables import visible

HELP = "Writes the log-probability, the number of tokens and the perplexity of given targets, a line each."
EXAMPLES = """\
  printf '25 décembre 1997\\t1997-12-25\\n' | %(prog)s --model runs/dates --tsv - --tokens
  %(prog)s --model runs/dates --tsv pairs.tsv --output scores.tsv
"""


def add_options(command):
    add_models(command)
    add_pairs(command)
    kind = command.add_mutually_exclusive_group()
    kind.add_argument("--tokens", action="store_true", help="add each token with its log-probability in nats")
    kind.add_argument("--json", action="store_true", help="a line of JSON for each")
    add_output(command, "file for the lines (default: standard output)")
    add_batch_size(command)


def run(options):
    output, pairs = output_of(options), pairs_of(options)
    translator = translator_of(options, batch_size=options.batch_size)
    total, tokens, count = 0.0, 0, 0
    with output as file:
        for scored in progress(
            translator.stream_scores(pairs), not prints(options), answered=options.tsv or options.source
        ):
            file.write(_written(options, scored))
            total, tokens, count = total + scored.log_probability, tokens + len(scored.tokens) + 1, count + 1
    if count:
        print(
            f"{count:,} targets, {tokens:,} tokens with their ends: {total / tokens:.4f} nats a token, perplexity "
            f"{math.exp(-total / tokens):.4f}",
            file=sys.stderr,
        )


def _written(options, scored):
    if options.json:
        return as_json(scored)
    columns = [f"{scored.log_probability:.6f}", f"{len(scored.tokens) + 1}", f"{scored.perplexity:.6f}"]
    if options.tokens:
        end = scored.log_probability - float(scored.token_log_probabilities.sum())
        each = zip([*scored.tokens, SPECIAL_TOKENS[END]], [*scored.token_log_probabilities, end])
        columns.append(" ".join(f"{visible(token)}:{value:.4f}" for token, value in each))
    return "\t".join(columns)
