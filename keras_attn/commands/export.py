"""`export`: a SavedModel for TensorFlow and TensorFlow Serving."""

from keras_attn.commands.common import add_models, translator_of
from keras_attn.commands.search_options import add_search, search_arguments
from keras_attn.files import refuse_existing

HELP = "Writes a SavedModel that takes strings and gives strings, and needs neither Keras nor this package."
EXAMPLES = """\
  %(prog)s --model runs/dates --output served/dates/1
  %(prog)s --model runs/dates --beam 5 --length-penalty 1 --precision bfloat16 --output served/dates/2
"""


def add_options(command):
    add_models(command)
    command.add_argument("--output", metavar="FOLDER", required=True, help="folder of the SavedModel")
    command.add_argument("--overwrite", action="store_true", help="replace the output if it is there already")
    command.add_argument("--name", metavar="NAME", help="what the model is called (default: its task)")
    add_search(command, n_best="how many the signature beam gives, where a request does not say it")


def run(options):
    refuse_existing(options.output, options.overwrite, is_folder=True)
    translator = translator_of(options, **search_arguments(options))
    from keras_attn.about import of_run

    about = of_run(options.models[0])
    # What was measured is one model, with the beam that its figures name.
    quality = about["quality"] if len(options.models) == 1 else None
    translator.export(options.output, name=options.name or about["task"], task=about["task"], quality=quality)
