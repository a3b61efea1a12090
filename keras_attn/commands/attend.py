"""`attend`: a picture of where a model looks."""

import argparse
import pathlib

from keras_attn.commands.common import add_models, add_output, require_picture, translator_of
from keras_attn.commands.search_options import add_search, refuse_search, search_arguments
from keras_attn.errors import InputError
from keras_attn.files import refuse_existing

HELP = "Draws where a model looks while it translates a text, or while it is given the target."
EXAMPLES = """\
  %(prog)s --model runs/dates "25 décembre 1997" --output attention.png
  %(prog)s --model runs/dates "25 décembre 1997" --lines --dark --output alignment.svg
  %(prog)s --model runs/dates "25 décembre 1997" 1997-12-25 --output attention.html
  %(prog)s --model runs/dates "25 décembre 1997" --beam 5 --n-best 3 --html hypotheses.html
  %(prog)s --model runs/dates "25 décembre 1997" --max-length 12 --output decoding.gif
"""


def add_options(command):
    command.add_argument("text", metavar="TEXT", help="the source")
    command.add_argument(
        "target", metavar="TARGET", nargs="?", help="its target (default: the model's own translation)"
    )
    add_models(command)
    add_output(command, "the picture: .png, .svg, .pdf, a page .html, or the decoding step by step .gif")
    command.add_argument("--html", type=_page, metavar="FILE.html", help="the same as --output FILE.html")
    command.add_argument("--lines", action="store_true", help="lines between the sentences instead of a heatmap")
    command.add_argument(
        "--margins",
        action="store_true",
        help="add the entropy of each target token and the coverage of each source token",
    )
    command.add_argument("--dark", action="store_true", help="light on dark; a page follows the reader's own setting")
    add_search(command, n_best="let the reader of a page .html choose among the N best")


def _page(path):
    if pathlib.Path(path).suffix.lower() != ".html":
        raise argparse.ArgumentTypeError(f"{path} does not end in .html; --output takes other pictures")
    return path


def run(options):
    if options.html is not None:
        if options.output is not None:
            raise InputError("--html and --output both say where the picture goes; give one of them.")
        options.output = options.html
    if not options.output:
        raise InputError("The picture needs a place; add --output FILE, such as attention.png or attention.html.")
    require_picture(options.output, (".png", ".svg", ".pdf", ".html", ".gif"))
    kind = pathlib.Path(options.output).suffix.lower()
    _refuse_what_does_not_fit(options, kind)
    refuse_existing(options.output, options.overwrite)
    translator = translator_of(options, **search_arguments(options))
    if kind == ".gif":
        from keras_attn.animation import animate_translation

        animate_translation(translator, options.text, options.output, dark=options.dark)
        print(translator(options.text))
        return
    if options.target is None:
        translations = translator.n_best([options.text])[0]
    else:
        translations = translator.score([options.text], [options.target])
    if kind == ".html":
        from keras_attn.files import write_text
        from keras_attn.html import attention_page

        write_text(options.output, attention_page([translations], translator.head_weights, title=options.text))
    else:
        _draw(translations[0], options)
    print(translations[0].text)


def _draw(translation, options):
    from keras_attn.plotting import plot_alignment, plot_attention

    shown = translation.attention, translation.source_tokens, translation.tokens, options.output
    if options.lines:
        plot_alignment(*shown, dark=options.dark)
    else:
        plot_attention(*shown, margins=options.margins, dark=options.dark)


def _refuse_what_does_not_fit(options, kind):
    if options.n_best and kind != ".html":
        raise InputError("--n-best is for a page; add --output FILE.html, or leave it out.")
    if options.target is not None:
        if kind == ".gif":
            raise InputError("A .gif shows how the model decodes, but the target is given; leave one of them out.")
        refuse_search(options, "the target is given")
    for name in ("lines", "margins", "dark"):
        if getattr(options, name) and (kind == ".html" or (kind == ".gif" and name != "dark")):
            raise InputError(f"--{name} is not for {kind}; leave it out.")
    if options.lines and options.margins:
        raise InputError("--margins belong to a heatmap, but --lines draws lines; leave one of them out.")
