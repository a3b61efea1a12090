"""`average`: one model whose weights are the mean of several."""

HELP = "Writes a model whose weights are the mean of those of several epochs or runs of one architecture."
EXAMPLES = """\
  %(prog)s runs/dates --last 3 --output runs/dates-average                    after train --keep-epochs 3
  %(prog)s runs/dates/epochs/epoch-004.keras runs/dates/epochs/epoch-005.keras --output runs/dates-late
"""


def add_options(command):
    command.add_argument("paths", metavar="PATH", nargs="+", help="folders of runs, or .keras files of their epochs")
    command.add_argument("--last", type=int, metavar="N", help="of each run the last N epochs that it kept")
    command.add_argument("--output", metavar="FOLDER", required=True, help="folder of the new model")
    command.add_argument("--overwrite", action="store_true", help="replace the output if it is there already")


def run(options):
    from keras_attn.averaging import average_runs

    average_runs(options.paths, options.output, last=options.last, overwrite=options.overwrite)
