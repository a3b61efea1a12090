"""Dates as people write them in thirteen languages, to ISO 8601: a task that is learned in minutes and easy to check.

25 décembre 1997       -> 1997-12-25
1997년 12월 25일 목요일    -> 1997-12-25
"""

import datetime
import itertools
import random
import re

from keras_attn.data.split import Split
from keras_attn.errors import InputError, imported

LOCALES = ("en_US", "en_GB", "de", "fr", "es", "it", "pt", "nl", "sv", "ru", "tr", "ko", "ja", "zh")

# Names of CLDR's own formats, and skeletons (which fields to show) that each language orders and joins in its way.
_FORMATS = ("full", "long", "medium", "short")
_SKELETONS = ("yMMMEd", "yMd")

# A century, so that a year of two digits has one meaning only.
_FIRST_DAY = datetime.date(1950, 1, 1)
_DAYS = (datetime.date(2050, 1, 1) - _FIRST_DAY).days


def date_pairs(train=30_000, validation=1_000, test=2_000, seed=0):
    """Written dates with their ISO 8601 form, made on the fly with Babel's CLDR formats.

    Every text has exactly one right answer: one that can be read as two days (`03/04/2005`) is left out. The days
    (1950 to 2049) are divided first, 8 in 10 for training and 1 each for validation and test, so no test day is ever
    seen in training in any language.

    Args:
        train, validation, test: how many pairs.
        seed: of days, languages and formats; how these are written is for the version of Babel to say.

    Returns:
        A `Split`; no text is in it twice.

    Raises:
        InputError: more pairs are asked for than there are texts.
        ImportError: Babel is not installed.
    """
    patterns = _patterns()
    rng = random.Random(seed)
    days = [_FIRST_DAY + datetime.timedelta(day) for day in range(_DAYS)]
    rng.shuffle(days)
    held_out = _DAYS // 10
    parts = (days[2 * held_out :], days[:held_out], days[held_out : 2 * held_out])
    return Split(*(_draw(count, part, patterns, rng) for count, part in zip((train, validation, test), parts)))


def _draw(count, days, patterns, rng):
    """`count` different pairs, for random days in random patterns."""
    # A good part of the patterns coincides on some days or is ambiguous; half of all combinations always exists.
    most = len(days) * len(patterns) // 2
    numeric = [(locale, form) for locale, form in patterns if _is_numeric(form.pattern)]
    if count > most:
        raise InputError(f"{count} pairs of dates are asked for, but a part of {len(days)} days has {most} at most.")
    pairs = {}
    while len(pairs) < count:
        day = rng.choice(days)
        pattern = rng.choice(patterns)
        text = _write(day, pattern)
        if text not in pairs and not _has_other_reading(text, day, pattern, numeric):
            pairs[text] = day.isoformat()
    return list(pairs.items())


def _patterns():
    """Every different way to write a date, as `(locale, Babel pattern)`."""
    dates = imported("babel.dates", "The dates task")
    core = imported("babel", "The dates task")
    patterns = {}
    for name in LOCALES:
        locale = core.Locale.parse(name)
        named = [dates.get_date_format(form, locale) for form in _FORMATS]
        skeletons = locale.datetime_skeletons
        for pattern in named + [skeletons[skeleton] for skeleton in _SKELETONS if skeleton in skeletons]:
            patterns.setdefault((name, pattern.pattern), (locale, pattern))
    return list(patterns.values())


def _write(day, pattern):
    locale, form = pattern
    return form.apply(day, locale)


def _is_numeric(pattern):
    """Whether there is no name of a month or weekday in it: only such a text can be read in another order."""
    return "MMM" not in pattern and "E" not in pattern


def _has_other_reading(text, day, pattern, numeric):
    """Whether the text could as well mean another day."""
    if pattern not in numeric:
        return False
    if re.search("(?<!y)yy(?!y)", pattern[1].pattern):
        # A year of two digits looks like a month or a day, whichever order the reader is used to.
        return any(_permuted(day))
    text = _without_leading_zeros(text)
    return any(_without_leading_zeros(_write(other, each)) == text for other in _permuted(day) for each in numeric)


def _without_leading_zeros(text):
    return re.sub(r"(?<!\d)0+(?=\d)", "", text)


def _permuted(day):
    """The other days whose year, month and day are written with the same three numbers."""
    numbers = (day.year % 100, day.month, day.day)
    for year, month, number in set(itertools.permutations(numbers)):
        try:
            other = datetime.date(year + (1900 if year >= 50 else 2000), month, number)
        except ValueError:
            continue
        if other != day:
            yield other
