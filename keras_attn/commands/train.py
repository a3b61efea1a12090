"""`train`: pairs of strings in, a folder with a translator out."""

import argparse
import dataclasses
import pathlib
import shlex
import typing

from keras_attn.config import TrainingConfig, flag, resumed_config

HELP = "Trains a translator from pairs of strings."
EXAMPLES = """\
  %(prog)s                                        dates in thirteen languages to ISO 8601, in a few minutes
  %(prog)s --tsv pairs.tsv                        your own pairs, source<TAB>target
  %(prog)s --source train.de --target train.en    your own pairs, in two files
  %(prog)s --config runs/dates/config.json --output runs/again
  %(prog)s --output runs/dates --resume           go on after an interruption
"""


def add_options(command):
    command.set_defaults(after_interruption=_how_to_go_on)
    add_training_options(command)
    command.add_argument("--output", metavar="FOLDER", help="folder of the run (default: runs/TASK)")
    start = command.add_mutually_exclusive_group()
    start.add_argument("--resume", action="store_true", help="go on with the interrupted run in that folder")
    start.add_argument("--overwrite", action="store_true", help="delete the run in that folder first")


def add_training_options(command, without=()):
    """An option for each field of `TrainingConfig` but those."""
    for field in dataclasses.fields(TrainingConfig):
        if field.name in without:
            continue
        default = "" if field.default is None else f" (default: {field.default})"
        choices = ",".join(field.metadata.get("choices", ()))
        help = field.metadata["help"] + default
        if field.type in (bool, bool | None):
            command.add_argument(
                flag(field.name), action=argparse.BooleanOptionalAction, default=argparse.SUPPRESS, help=help
            )
            continue
        given_type = next(kind for kind in (*typing.get_args(field.type), field.type) if kind is not type(None))
        command.add_argument(
            flag(field.name),
            type=given_type,
            metavar=f"{{{choices}}}" if choices else field.metadata.get("metavar", "NAME"),
            default=argparse.SUPPRESS,
            help=help,
        )


def given_fields(options):
    """The fields of the configuration that are on the command line."""
    names = {field.name for field in dataclasses.fields(TrainingConfig)}
    return {name: value for name, value in vars(options).items() if name in names}


def run(options):
    given = given_fields(options)
    options.folder = pathlib.Path(options.output or pathlib.Path("runs", TrainingConfig(**given).resolved().task))
    options.record_before = _record_of(options.folder)
    if options.resume:  # what goes together was found out when the run began
        config = resumed_config(options.folder / "config.json", given)
    else:
        config = TrainingConfig(**given)
    from keras_attn.training import train

    train(config, options.folder, overwrite=options.overwrite, resume=options.resume)


def _record_of(folder):
    """What tells a run from the next one in the same folder; `None` before there is one."""
    record = folder / "config.json"
    return record.stat().st_mtime_ns if record.is_file() else None


def _how_to_go_on(options):
    has_begun = "record_before" in options and (options.resume or _record_of(options.folder) != options.record_before)
    if not has_begun:  # what lies there is an earlier run
        return ""
    return f" Go on with: {options.prog} --output {shlex.quote(str(options.folder))} --resume"
