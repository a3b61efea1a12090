"""`attend`: a picture of where a model looks."""

import pathlib

from keras_attn.commands.common import add_models, add_output, refuse_no_picture, translator_of
from keras_attn.commands.search_options import add_search, refuse_search, search_arguments
from keras_attn.errors import InputError
from keras_attn.files import refuse_existing

HELP = "Draws where a model looks while it translates a text, or while it is given the target."
EXAMPLES = """\
  %(prog)s --model runs/dates "25 décembre 1997" --output attention.png
  %(prog)s --model runs/dates "25 décembre 1997" 1997-12-25 --output attention.html
"""


def add_options(command):
    command.add_argument("text", metavar="TEXT", help="the source")
    command.add_argument(
        "target", metavar="TARGET", nargs="?", help="its target (default: the model's own translation)"
    )
    add_models(command)
    add_output(command, "the picture: .png, .svg, .pdf or .html")
    add_search(command, n_best="draw the N best, with .html")


def run(options):
    if not options.output:
        raise InputError("The picture needs a place; add --output FILE, such as attention.png or attention.html.")
    refuse_no_picture(options.output, (".png", ".svg", ".pdf", ".html"))
    is_page = pathlib.Path(options.output).suffix.lower() == ".html"
    if options.n_best and not is_page:
        raise InputError("--n-best is for a page; add --output FILE.html, or leave it out.")
    if options.target is not None:
        refuse_search(options, "the target is given")
    refuse_existing(options.output, options.overwrite)
    translator = translator_of(options, **search_arguments(options))
    if options.target is None:
        translations = translator.n_best([options.text])[0]
    else:
        translations = translator.score([options.text], [options.target])
    if is_page:
        from keras_attn.files import write_text
        from keras_attn.html import attention_page

        write_text(options.output, attention_page(translations, title=options.text))
    else:
        from keras_attn.plotting import plot_attention

        best = translations[0]
        plot_attention(best.attention, best.source_tokens, best.tokens, options.output)
    print(translations[0].text)
