"""What training runs kept from training, to measure their models on it again."""

import pathlib

from keras_attn.config import OF_PAIRS, read_config
from keras_attn.errors import InputError
from keras_attn.training.folder import CONFIG, refuse_other_pairs
from keras_attn.training.preparing import load_parts, sources_and_references


def held_out(folders, part):
    """One part of the pairs that several runs, or one, were not trained on.

    Args:
        folders: of training runs; the files that they were trained from must be where they were.
        part: `"validation"` or `"test"`.

    Returns:
        The sources, a list of right answers for each of them, and the `TrainingConfig` of the first run.

    Raises:
        InputError: a folder holds no run, or the pairs are not those that a run was trained from, so that it may have seen
            what is held out.
    """
    for folder in folders:
        if not pathlib.Path(folder, CONFIG).is_file():
            raise InputError(
                f"{folder} is no training run, which would have held out pairs in its {CONFIG}; give pairs of your own."
            )
    first, *others = (read_config(pathlib.Path(folder, CONFIG)) for folder in folders)
    if "-" in (getattr(first, name) for name in OF_PAIRS):
        raise InputError(f"The pairs of {folders[0]} came from standard input and are gone; give others to measure on.")
    for folder, other in zip(folders[1:], others):
        for name in OF_PAIRS:
            if getattr(first, name) != getattr(other, name):
                raise InputError(
                    f"{folders[0]} and {folder} were not trained from the same pairs ({name} is {getattr(first, name)!r} "
                    f"and {getattr(other, name)!r}), so one may have seen what the other holds out; give pairs that are "
                    f"new to both."
                )
    parts = load_parts(first)
    for folder in folders:
        refuse_other_pairs(pathlib.Path(folder), parts)
    return *sources_and_references(getattr(parts, part)), first
