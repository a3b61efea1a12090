"""The command line: options from the arguments and a file, and every error of the user as one sentence."""

import _thread
import argparse
import contextlib
import importlib
import os
import pathlib
import signal
import sys
import threading

from keras_attn.commands import COMMANDS
from keras_attn.commands.config_file import with_file
from keras_attn.commands.quiet import import_tensorflow_quietly
from keras_attn.errors import InputError

# The signals that have interrupted this process.
_heard = []

_DESCRIPTION = "Attention sequence-to-sequence models: train one, translate with it, look inside it, and ship it."


def main(arguments=None):
    """Runs a command and returns its exit status: 0, 2 after bad input, or 130 after an interruption.

    Args:
        arguments: a list of strings; `None` takes those of the process.
    """
    try:
        return _run(arguments)
    except KeyboardInterrupt:
        return 130


def run_and_exit(arguments=None):
    """Runs a command and ends the process with its exit status. To be terminated, as by a cluster whose time is up, is to be
    interrupted."""
    for number, usual in ((signal.SIGINT, signal.default_int_handler), (signal.SIGTERM, signal.SIG_DFL)):
        if signal.getsignal(number) is usual:
            signal.signal(number, _interrupt)
    import_tensorflow_quietly()
    try:
        sys.exit(_run(arguments))
    except KeyboardInterrupt as interruption:
        # A thread of TensorFlow's may be reading training data through Python. To take the interpreter down around it
        # crashes or hangs now and then, so the process ends as it is; all that was to be written has been.
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError):
                stream.flush()
        os._exit(128 + (interruption.args or (signal.SIGINT,))[0])


def _interrupt(number, frame):
    """Interrupts, and again two seconds later if the process is still there then: what is raised while an object goes is
    ignored by Python, and a bare `except`, such as Keras has around the opening of a file, takes it for a failure."""
    _heard.append(number)
    again = threading.Timer(2, _thread.interrupt_main, [number])
    again.daemon = True
    again.start()
    raise KeyboardInterrupt(number)


@contextlib.contextmanager
def _as_interruption():
    """Whatever fails after an interruption fails because of it."""
    try:
        yield
    except Exception as error:
        if _heard:
            raise KeyboardInterrupt(_heard[0]) from error
        raise


def _run(arguments):
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # faster products, which it leaves off on some processors
    _open_closed_streams()
    arguments = sys.argv[1:] if arguments is None else arguments
    parser, commands = _parser()
    try:
        options = _parsed(arguments, parser, commands)
    except (InputError, ImportError) as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 2
    try:
        with _as_interruption():
            options.command(options)
        sys.stdout.flush()
        return 0
    except BrokenPipeError:
        # Whoever read the output has seen enough; what Python still holds must not be written when it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (InputError, ImportError, OSError, UnicodeEncodeError) as error:
        print(f"{options.prog}: {_sentence(error)}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"\n{options.prog}: interrupted.{options.after_interruption(options)}", file=sys.stderr)
        raise


def options_of(arguments):
    """What the arguments of a command say, those in the file of `--config` included.

    Raises:
        InputError: see `keras_attn.commands.config_file.with_file`.
    """
    return _parsed(arguments, *_parser())


def _parsed(arguments, parser, commands):
    _refuse_other_encodings(arguments)
    options, unknown = parser.parse_known_args(with_file(arguments, commands))
    command = commands[arguments[0]]
    if unknown:
        command.error(f"unrecognized arguments: {' '.join(unknown)}")
    _refuse_empty_names(command, options)
    options.arguments = arguments[1:]
    return options


def _refuse_empty_names(command, options):
    """Refuses names of nothing, such as those of a shell's variable that was never set."""
    for action in command._actions:
        value = getattr(options, action.dest, None)
        if action.metavar in ("FILE", "FOLDER", "NAME") and "" in (value if isinstance(value, list) else [value]):
            flag = "".join(action.option_strings) or "An argument"
            raise InputError(f"{flag} is empty; give a {action.metavar.lower()}, or leave it out.")


def _sentence(error):
    if isinstance(error, UnicodeEncodeError):
        part = error.object[error.start : error.end]
        return f"{part!r} cannot be written in {error.encoding}; set PYTHONUTF8=1 to write UTF-8."
    if isinstance(error, OSError):
        return f"{error.filename or 'A file, or standard output,'} cannot be used: {error.strerror or error}."
    return str(error)


def _open_closed_streams():
    """Nothing instead of what a shell has closed (`<&-`), which Python has as `None`."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))


def _refuse_other_encodings(arguments):
    """What is not UTF-8 Python takes from the system with stand-ins that cannot be written."""
    for argument in arguments:
        try:
            argument.encode()
        except UnicodeEncodeError:
            raise InputError(f"The argument {argument!r} is not UTF-8; convert it first.") from None


class _Parser(argparse.ArgumentParser):
    """A parser that refuses what it does not understand in one sentence, without the list of all options."""

    def error(self, message):
        self.exit(2, f"{self.prog}: {message}; see {self.prog} --help.\n")


def _parser():
    """The parser of the whole command line, and those of the commands by name."""
    script = pathlib.Path(sys.argv[0]).name
    program = {"__main__.py": "python -m keras_attn", "train.py": "python train.py"}.get(script, script)
    parser = _Parser(prog=program, description=_DESCRIPTION)
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for name in COMMANDS:
        module = importlib.import_module(f"keras_attn.commands.{name}")
        _add_command(commands, name, program if script == "train.py" else f"{program} {name}", module)
    return parser, commands.choices


def _add_command(commands, name, prog, module):
    command = commands.add_parser(
        name,
        prog=prog,
        help=module.HELP,
        description=module.HELP,
        epilog=f"examples:\n{module.EXAMPLES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    command.set_defaults(command=module.run, prog=prog, after_interruption=lambda options: "")
    command.add_argument(
        "--config", metavar="FILE", help="options from a .toml, .yaml or .json file; those given here win"
    )
    module.add_options(command)
