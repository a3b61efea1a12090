"""What a user did wrong, in one sentence; and what is missing on the machine, in another."""

import importlib
import numbers


class InputError(ValueError):
    """Bad input: a file, line, option or value. The message is one sentence that tells what was given, what is
    accepted and what to do; the command line prints it alone and ends with status 2."""


def require_count(least=1, **given):
    """Raises an `InputError` that names the first of these which is no whole number from `least` up. `None` is not given."""
    for name, value in given.items():
        if value is None:
            continue
        if not isinstance(value, numbers.Integral):
            raise InputError(f"{name} is {value!r}, but it must be a whole number.")
        if value < least:
            raise InputError(f"{name} is {value}, but it must be {least} or more.")


def imported(module, purpose):
    """Imports a module that not every machine has.

    Args:
        module: name of the module, as in an `import`.
        purpose: what needs it, as the beginning of a sentence.

    Returns:
        The module.

    Raises:
        ImportError: the module cannot be imported; the message says what to install.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = {"tensorflow_text": "tensorflow-text", "babel.dates": "Babel", "yaml": "PyYAML"}.get(module, module)
        raise ImportError(
            f"{purpose} needs {package}, which cannot be imported ({error}): pip install {package}"
        ) from error
