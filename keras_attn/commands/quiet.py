"""Who runs a command need not read what TensorFlow says about the machine while it is imported."""

import contextlib
import importlib.util
import os
import sys
import tempfile


def import_tensorflow_quietly():
    """From here on, whoever imports TensorFlow first does so without its remarks, unless the import fails.

    `TF_CPP_MIN_LOG_LEVEL` is set to 3, but some of them TensorFlow 2.21 writes before it has read that, straight to the
    standard error of the process. A user who has set it to something else wants them, and gets them.
    """
    if os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3") == "3" and "tensorflow" not in sys.modules:
        sys.meta_path.insert(0, _Finder)


class _Finder:
    """Finds TensorFlow as others do, and lets it be loaded quietly."""

    @classmethod
    def find_spec(cls, name, path=None, target=None):
        if name != "tensorflow":
            return None
        sys.meta_path.remove(cls)
        spec = importlib.util.find_spec(name)
        if spec is not None:
            loaded = spec.loader.exec_module
            spec.loader.exec_module = _standard_error_held_back()(loaded)
        return spec


@contextlib.contextmanager
def _standard_error_held_back():
    """What is written to it meanwhile appears only if there is an error."""
    with tempfile.TemporaryFile() as held_back:
        standard_error = os.dup(2)
        os.dup2(held_back.fileno(), 2)
        try:
            yield
            held_back.truncate(0)
        finally:
            os.dup2(standard_error, 2)
            os.close(standard_error)
            held_back.seek(0)
            os.write(2, held_back.read())
