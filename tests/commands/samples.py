"""Pairs of texts, and the files that hold such."""

import itertools
import pathlib

MONTHS = {1: "January", 3: "mars", 5: "Mai", 9: "September", 11: "noviembre", 12: "décembre"}
PAIRS = [
    (f"{day} {name} {year}", f"{year}-{month:02}-{day:02}")
    for (month, name), day, year in zip(itertools.cycle(MONTHS.items()), range(1, 29), range(1970, 2026, 2))
]
SOURCES, TARGETS = (list(side) for side in zip(("25 décembre 1997", "1997-12-25"), *PAIRS))
# The options of the search that the fixture `searcher` has.
SEARCH = "--max-length 20 --beam 3 --n-best 2"


def write(name, lines, folder="."):
    pathlib.Path(folder, name).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def read(name):
    return pathlib.Path(name).read_text(encoding="utf-8").splitlines()
