"""The command line: options to a `TrainingConfig`, and every error of the user as one sentence."""

import argparse
import dataclasses
import pathlib
import shlex
import sys
import typing

from keras_attn.config import TrainingConfig, read_config
from keras_attn.errors import InputError

_DESCRIPTION = "Attention sequence-to-sequence models: train one, and translate with it."
_EPILOGS = {
    "train": """\
examples:
  %(prog)s                                        dates in thirteen languages to ISO 8601, in a few minutes
  %(prog)s --tsv pairs.tsv                        your own pairs, source<TAB>target
  %(prog)s --source train.de --target train.en    your own pairs, in two files
  %(prog)s --output runs/dates --resume           go on after an interruption
""",
    "translate": """\
example:
  %(prog)s --model runs/dates "25 décembre 1997"
""",
}


def main(arguments=None):
    """Runs a command and returns its exit status: 0, 2 after bad input, or 130 after an interruption.

    Args:
        arguments: a list of strings; `None` takes those of the process.
    """
    options = _parser().parse_args(arguments)
    try:
        return options.command(options)
    except (InputError, ImportError) as error:
        print(f"{options.prog}: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"{options.prog}: {error.filename or 'a file'} cannot be used: {error.strerror}.", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"\n{options.prog}: interrupted.{options.after_interruption(options)}", file=sys.stderr)
        return 130


def _parser():
    script = pathlib.Path(sys.argv[0]).name
    program = {"__main__.py": "python -m keras_attn", "train.py": "python train.py"}.get(script, script)
    parser = argparse.ArgumentParser(prog=program, description=_DESCRIPTION)
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    _add_train(commands, "python train.py" if script == "train.py" else f"{program} train")
    _add_translate(commands, f"{program} translate")
    return parser


def _add_command(commands, name, prog, run, help):
    command = commands.add_parser(
        name,
        prog=prog,
        help=help,
        description=help,
        epilog=_EPILOGS[name],
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.set_defaults(command=run, prog=prog, after_interruption=lambda options: "")
    return command


def _add_train(commands, prog):
    command = _add_command(commands, "train", prog, _train, "Trains a translator from pairs of strings.")
    command.set_defaults(after_interruption=_how_to_go_on)
    for field in dataclasses.fields(TrainingConfig):
        flag = "--" + field.name.replace("_", "-")
        default = "" if field.default is None else f" (default: {field.default})"
        help = field.metadata["help"] + default
        if field.type is bool:
            command.add_argument(flag, action=argparse.BooleanOptionalAction, default=argparse.SUPPRESS, help=help)
            continue
        given_type = next(kind for kind in (*typing.get_args(field.type), field.type) if kind is not type(None))
        command.add_argument(
            flag,
            type=given_type,
            metavar=field.metadata.get("metavar", "NAME"),
            default=argparse.SUPPRESS,
            help=help,
        )
    command.add_argument("--output", metavar="FOLDER", help="folder of the run (default: runs/TASK)")
    start = command.add_mutually_exclusive_group()
    start.add_argument("--resume", action="store_true", help="go on with the interrupted run in that folder")
    start.add_argument("--overwrite", action="store_true", help="delete the run in that folder first")


def _add_translate(commands, prog):
    command = _add_command(commands, "translate", prog, _translate, "Translates texts, or the lines of standard input.")
    command.add_argument("--model", metavar="FOLDER", required=True, help="folder of a training run")
    command.add_argument("texts", metavar="TEXT", nargs="*", help="what to translate")


def _train(options):
    names = {field.name for field in dataclasses.fields(TrainingConfig)}
    given = {name: value for name, value in vars(options).items() if name in names}
    config = TrainingConfig(**given).resolved()
    options.folder = pathlib.Path(options.output or pathlib.Path("runs", config.task))
    if options.resume:
        config = read_config(options.folder / "config.json", given)
    from keras_attn.training import train  # only now: help and bad options need no TensorFlow

    train(config, options.folder, overwrite=options.overwrite, resume=options.resume)
    return 0


def _how_to_go_on(options):
    return f" Go on with: {options.prog} --output {shlex.quote(str(options.folder))} --resume"


def _translate(options):
    from keras_attn.translator import Translator

    translator = Translator.load(options.model)
    texts = options.texts or sys.stdin.read().splitlines()
    for text in translator(texts):
        print(text)
    return 0
