"""A text file that is written line by line for hours, and gone on with after an interruption."""

import json
import os
import pathlib

from keras_attn import files
from keras_attn.errors import InputError

# Lines of the input between two notes of how far it is; what a killed process loses.
_NOTE_EVERY = 1_000


class GrowingFile:
    """A file under its real name only when it is whole: until then it is `NAME.part`, and `NAME.part.json` says how much of
    it is sure. Nothing is touched before there is something to write.

    Args:
        path: the file.
        settings: a dictionary of all that decides what is written; a file is only gone on with under the same. `None`:
            it cannot be gone on with, and an interruption deletes it.
        resume: whether to go on with the part that is there, if one is.
        overwrite: whether a whole file that is there may be replaced.

    Attributes:
        done: inputs that have been answered already.

    Raises:
        InputError: the file is there already, or a part of it, or one of other settings or that has become shorter.

    Example:
        >>> with GrowingFile("out.txt", {"beam": 5}, resume=True) as file:
        ...     for line in itertools.islice(lines, file.done, None):
        ...         file.write(answer(line))
    """

    def __init__(self, path, settings=None, resume=False, overwrite=False):
        self.path = pathlib.Path(os.path.realpath(path))
        self.part = self.path.with_name(self.path.name + ".part")
        self.note = self.path.with_name(self.path.name + ".part.json")
        self.settings = json.loads(json.dumps(settings))
        self._file = None
        files.refuse_existing(self.path, overwrite)
        if (self.part.exists() or self.note.exists()) and not (resume or overwrite):
            go_on = "" if settings is None else "--resume to go on with it or "
            raise InputError(f"{self.part} is the part of an earlier run; add {go_on}--overwrite.")
        self.done, self._bytes = self._noted() if resume and self.note.exists() else (0, 0)

    def __enter__(self):
        return self

    def write(self, *lines):
        """Writes the answer to the next input, one line or several."""
        if self._file is None:
            self._open()
        answer = "".join(f"{line}\n" for line in lines).encode()
        self._file.write(answer)
        self.done, self._bytes = self.done + 1, self._bytes + len(answer)
        if self.done % _NOTE_EVERY == 0:
            self._file.flush()
            self._take_note()

    def __exit__(self, kind, error, traceback):
        if self._file is None:
            if kind is not None:
                return
            self._open()
        self._file.close()
        if kind is None:
            os.replace(self.part, self.path)
            self.note.unlink(missing_ok=True)
        elif self.settings is None:
            self.part.unlink()
        else:
            self._take_note()

    def _open(self):
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if not self.done:
            self.note.unlink(missing_ok=True)  # of an earlier part, which ends here
        self._file = self.part.open("r+b" if self.done else "wb")
        self._file.truncate(self._bytes)
        self._file.seek(self._bytes)

    def _take_note(self):
        if self.settings is not None:
            note = {"done": self.done, "bytes": self._bytes, "settings": self.settings}
            files.write_text(self.note, json.dumps(note, ensure_ascii=False))

    def _noted(self):
        note = files.read_json(self.note)
        if not (
            isinstance(note.get("settings"), dict) and {int} == {type(note.get(name)) for name in ("done", "bytes")}
        ):
            raise InputError(f"{self.note} does not say how far {self.part} is; begin anew with --overwrite.")
        length = self.part.stat().st_size if self.part.exists() else 0
        if length < note["bytes"]:
            raise InputError(
                f"{self.part} has {length} bytes, but {self.note} says {note['bytes']}; begin anew with --overwrite."
            )
        settings = self.settings or {}
        for name in sorted(settings.keys() | note["settings"].keys()):
            before, now = note["settings"].get(name), settings.get(name)
            if before != now:
                raise InputError(
                    f"{self.part} was begun with {name} {before!r}, but now it is {now!r}; go on with the same, or "
                    f"begin anew with --overwrite."
                )
        return note["done"], note["bytes"]


class Lines:
    """Lines written to a stream, such as standard output, with nothing to go on with; used as a `GrowingFile` is."""

    done = 0

    def __init__(self, stream):
        self.stream = stream

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass

    def write(self, *lines):
        self.stream.write("".join(f"{line}\n" for line in lines))
        self.stream.flush()
