"""`explain`: attention in five steps."""

import argparse

from keras_attn.commands.common import add_models, add_output, require_picture, translator_of
from keras_attn.errors import InputError
from keras_attn.files import refuse_existing

HELP = "Shows attention step by step: of the textbook example, of your vectors, or of a translation."
EXAMPLES = """\
  %(prog)s                                                      the textbook example
  %(prog)s --query "10 5 10" --keys "0 1 1, 5 0 1" --score scaled-dot
  %(prog)s --model runs/dates "25 décembre 1997" --step 3       the third character of the answer
"""

# The example of many texts on attention: a decoder's hidden state and four of an encoder.
_QUERY = [10, 5, 10]
_KEYS = [[0, 1, 1], [5, 0, 1], [1, 1, 0], [0, 5, 1]]


def add_options(command):
    command.add_argument("text", metavar="TEXT", nargs="?", help="what to translate, with --model")
    add_models(command, required=False, together=False)
    command.add_argument("--step", type=int, metavar="N", help="which output token to explain (default: 1)")
    command.add_argument("--head", type=int, metavar="N", help="which attention head to explain (default: 1)")
    command.add_argument("--query", type=_vector, metavar="NUMBERS", help='a vector, such as "10 5 10"')
    command.add_argument("--keys", type=_vectors, metavar="VECTORS", help='vectors, such as "0 1 1, 5 0 1"')
    command.add_argument("--values", type=_vectors, metavar="VECTORS", help="vectors, one for each key (default: keys)")
    command.add_argument("--score", metavar="NAME", help="dot, scaled-dot or cosine (default: dot)")
    add_output(command, "draw it too: .png, .svg or .pdf")


def run(options):
    _refuse_what_does_not_go_together(options)
    require_picture(options.output)
    refuse_existing(options.output, options.overwrite)
    explanation = _of_translation(options) if options.models else _of_vectors(options)
    print(explanation)
    if options.output:
        explanation.plot(options.output)


def _refuse_what_does_not_go_together(options):
    if bool(options.models) != (options.text is not None):
        raise InputError("A translation takes both a text and --model; give both, or neither for the textbook example.")
    others = ("query", "keys", "values", "score") if options.models else ("step", "head")
    unused = [name for name in others if getattr(options, name) is not None]
    if unused:
        what = "vectors of your own" if options.models else "a translation (--model and a text)"
        raise InputError(f"--{unused[0]} is for {what}; leave it out.")
    if (options.query is None) != (options.keys is None) or (options.values and options.keys is None):
        raise InputError("--query and --keys belong together, and --values go with them; give all that you mean.")


def _of_translation(options):
    given = {name: getattr(options, name) for name in ("step", "head") if getattr(options, name) is not None}
    return translator_of(options).explain(options.text, **given)


def _of_vectors(options):
    from keras_attn.explain import explain

    query, keys = (_QUERY, _KEYS) if options.query is None else (options.query, options.keys)
    return explain(query, keys, options.values, options.score or "dot")


def _vector(text):
    try:
        return [float(number) for number in text.split()]
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no vector; give numbers with spaces between them") from None


def _vectors(text):
    return [_vector(vector) for vector in text.split(",")]
