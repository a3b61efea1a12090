"""`compare`: one attention after the other on the same pairs."""

import pathlib

from keras_attn.commands.common import names
from keras_attn.commands.train import add_training_options, given_fields
from keras_attn.config import TrainingConfig
from keras_attn.errors import InputError

HELP = "Trains with one attention after the other for as many epochs, and compares the results."
EXAMPLES = """\
  %(prog)s --dataset dates --epochs 1 --attention dot,additive,none --wiring luong,bahdanau
  %(prog)s --tsv pairs.tsv --attention scaled-dot,monotonic,additive+local-p,additive+coverage
"""

# What each variant decides for itself; and all train for as many epochs, of which none is kept.
_DECIDED = (
    "attention", "alignment", "window", "coverage", "wiring", "input_feeding", "monitor", "patience", "keep_epochs", "ema",
)  # fmt: skip


def add_options(command):
    command.add_argument(
        "--attention",
        dest="attentions",
        metavar="NAME,...",
        type=names,
        default=["dot", "scaled-dot", "general", "additive", "location", "none"],
        help="scores, alignments, coverage, joined by + where they go together, or none (default: dot,scaled-dot,"
        "general,additive,location,none)",
    )
    command.add_argument(
        "--wiring",
        dest="wirings",
        metavar="NAME,...",
        type=names,
        default=["luong"],
        help="luong, luong+input-feeding, bahdanau, gnmt (default: luong)",
    )
    add_training_options(command, without=_DECIDED)
    command.add_argument("--output", metavar="FOLDER", help="folder of the results (default: runs/compare-TASK)")
    command.add_argument("--overwrite", action="store_true", help="replace the comparison in that folder")


def run(options):
    config = TrainingConfig(**given_fields(options)).resolved()
    folder = pathlib.Path(options.output or pathlib.Path("runs", f"compare-{config.task}"))
    if not (options.attentions and options.wirings):
        raise InputError("There is nothing to compare; name an --attention and a --wiring at least.")
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file, but a comparison needs a folder; choose another --output.")
    from keras_attn.training.comparing import compare

    compare(config, options.attentions, options.wirings, folder, overwrite=options.overwrite)
