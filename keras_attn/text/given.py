"""The strings that a user gives, in whatever they come."""

import random

from keras_attn.errors import InputError


def elements(given, what):
    """One after the other, those of an iterable, a tensor or a `tf.data.Dataset`.

    Args:
        given: of strings, or whatever else is to be gone through.
        what: a noun for an element, as the beginning of a sentence.

    Raises:
        InputError: it is a single string, whose elements would be its characters.
    """
    if isinstance(given, (str, bytes)):
        raise InputError(f"{what} is the string {given!r}, but there must be a list of strings; put it into one.")
    if hasattr(given, "as_numpy_iterator"):
        return given.as_numpy_iterator()
    return given.numpy().tolist() if hasattr(given, "numpy") else given


def drawn(elements, count):
    """A list of `count` of the elements, each as likely as any other, but the same each time; all where there are no more."""
    random_numbers, kept = random.Random(0), []
    for number, element in enumerate(elements):
        if number < count:
            kept.append(element)
        elif (place := random_numbers.randrange(number + 1)) < count:
            kept[place] = element
    return kept


def require_string(value, what):
    """Raises an `InputError` where a value is no string, or holds half a character."""
    if not isinstance(value, str):
        raise InputError(f"{what} is {value!r}; every text must be a string.")
    if any("\ud800" <= character <= "\udfff" for character in value):
        raise InputError(f"{what} is {value!r}, half of whose character is missing; read it as UTF-8.")
