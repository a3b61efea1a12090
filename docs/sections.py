"""The sections of our docstrings, for the documentation site: Keras's own (`Call arguments`, `Output`) beside Google's.

Griffe reads a docstring as Google's style has it. What it does not know, and what is a sentence and no list of names, is
rewritten here before it reads.
"""

import inspect
import re

import griffe

# Names with what they are, under a heading of their own.
_LISTS = {"Call arguments": "Attributes: Call arguments:", "Fields": "Attributes: Fields:"}

# Sentences.
_TEXTS = ("Returns", "Yields", "Output")

_HEADING = re.compile(r"^(?P<heading>\w[\w ]*):$")
_SEVERAL_NAMES = re.compile(r"^ {4}\w+(, \w+)+:")


class Sections(griffe.Extension):
    """Rewrites each docstring once the package has been read."""

    def on_object(self, *, obj, **kwargs):
        if obj.docstring is not None:
            obj.docstring.value = rewritten(obj.docstring.value)


def rewritten(docstring):
    """A docstring in our style as Griffe can read it."""
    lines, section = [], None
    for line in inspect.cleandoc(docstring).splitlines():
        heading = _HEADING.match(line)
        if heading:
            section = heading["heading"]
        elif line and not line.startswith(" "):
            section = None
        if heading and section in _TEXTS:
            lines.append(f"**{section}:**")
        elif heading and section == "Example":
            lines.append("Examples: Example:")
        elif heading:
            lines.append(_LISTS.get(section, line))
        elif section in _TEXTS:
            lines.append(line.removeprefix("    "))
        elif section and _SEVERAL_NAMES.match(line):
            names, colon, rest = line.partition(":")
            lines.append("    " + names.strip().replace(", ", ",\N{NO-BREAK SPACE}") + colon + rest)
        else:
            lines.append(line)
    return "\n".join(lines)
