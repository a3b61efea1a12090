"""Models from files, with all classes that Keras needs to know for it."""

import zipfile

import keras

from keras_attn.errors import InputError


def load_model(path, compile=False):
    """The model in a `.keras` file, and with `compile` its optimizer.

    Raises:
        InputError: the file is not whole, as after half a copy.
    """
    if not zipfile.is_zipfile(path):
        raise InputError(f"{path} is no whole Keras model; copy or train it again.")
    return keras.saving.load_model(path, compile=compile)
