"""Options from a TOML, YAML or JSON file, such as the `config.json` that every run writes."""

import argparse
import json
import pathlib

from keras_attn.commands.common import names
from keras_attn.errors import InputError, imported


def with_file(arguments, commands):
    """The arguments with what the file of `--config` says put before them, so that those given win.

    The file names options as the command line does, with `-` or `_` and without the leading dashes: at its top those of
    any command that it is given to, and in a table with the name of a command those of that one.

    Args:
        arguments: a list of strings, the command's name first.
        commands: the `argparse` parsers by the command's name.

    Raises:
        InputError: the file cannot be read, or names what is no option of the command.
    """
    path = _path_of_config(arguments)
    if path is None or arguments[0] not in commands:
        return arguments
    command, *given = arguments
    options = _options_in(path, command, commands)
    return [command, *_as_arguments(options, path, command, commands[command], given), *given]


def _path_of_config(arguments):
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    parser.add_argument("--config")
    try:
        return parser.parse_known_args(arguments)[0].config
    except argparse.ArgumentError:  # --config without a file: the command's own parser says so
        return None


def _options_in(path, command, commands):
    """What the file says to a command: a dictionary from names, with `-`, to values."""
    options = _read(path)
    tables = {name: value for name, value in options.items() if name in commands and isinstance(value, dict)}
    if "versions" in options:  # the record of a run, with more at its top than options
        if command not in tables:
            raise InputError(f"{path} is the record of a run and has no options of {command}; give it to train.")
        return _with_hyphens(tables[command])
    top = {name: value for name, value in options.items() if name not in tables}
    return _with_hyphens(top) | _with_hyphens(tables.get(command, {}))


def _with_hyphens(options):
    return {str(name).replace("_", "-"): value for name, value in options.items()}


def _read(path):
    read = _READERS.get(pathlib.Path(path).suffix.lower())
    if read is None:
        raise InputError(f"{path} is no configuration; give a .toml, .yaml or .json file.")
    try:
        options = read(pathlib.Path(path).read_text(encoding="utf-8-sig"))
        options = {} if options is None else options  # what an empty .yaml holds
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}.") from error
    except ImportError:
        raise
    except Exception as error:  # each format has its own kind
        raise InputError(
            f"{path} is not a whole {path.rpartition('.')[2]} file ({' '.join(str(error).split())})."
        ) from error
    if not isinstance(options, dict):
        raise InputError(f"{path} holds {type(options).__name__}, but it must name options and their values.")
    return options


def _read_toml(text):
    try:
        import tomllib
    except ModuleNotFoundError:  # Python 3.10
        tomllib = imported("tomli", "Reading a .toml file")
    return tomllib.loads(text)


def _read_yaml(text):
    return imported("yaml", "Reading a .yaml file").safe_load(text)


_READERS = {".toml": _read_toml, ".yaml": _read_yaml, ".yml": _read_yaml, ".json": json.loads}


def _is_read_by(kind, value):
    try:
        kind(str(value))
    except ValueError:
        return False
    return True


def _as_arguments(options, path, command, parser, given):
    """The options that are not given already, as the command line has them."""
    flags = parser._option_string_actions  # argparse has no public list of its options
    given = {argument.partition("=")[0] for argument in given}
    for group in parser._mutually_exclusive_groups:
        alternatives = {flag for action in group._group_actions for flag in action.option_strings}
        given |= alternatives if alternatives & given else set()
    for name, value in options.items():
        flag = f"--{name}"
        if flag not in flags or flag in ("--config", "--help"):
            raise InputError(f"{path} has {name!r}, which is no option of {command}; see {parser.prog} --help.")
        is_switch = flags[flag].nargs == 0
        if value is None or flag in given:
            continue
        is_repeatable = isinstance(flags[flag], argparse._AppendAction)
        takes_list = is_repeatable or flags[flag].type is names
        is_no_value = isinstance(value, dict) or (isinstance(value, list) and not takes_list)
        if is_no_value or isinstance(value, bool) != is_switch:
            takes = "true or false" if is_switch else "a value"
            raise InputError(f"{path} has {name!r} as {value!r}, but {flag} takes {takes}.")
        if flags[flag].type in (int, float) and not _is_read_by(flags[flag].type, value):
            takes = {int: "a whole number", float: "a number"}[flags[flag].type]
            raise InputError(f"{path} has {name!r} as {value!r}, but {flag} takes {takes}.")
        if is_switch:
            no_flag = flag.replace("--", "--no-", 1)
            yield from [flag] if value else [no_flag] if no_flag in flags else []
        elif isinstance(value, list) and is_repeatable:
            yield from (f"{flag}={element}" for element in value)
        elif isinstance(value, list):
            yield f"{flag}={','.join(map(str, value))}"
        else:
            yield f"{flag}={value}"
