"""Strings in, strings out: a model with the text processors of its two sides."""

import json
import pathlib
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from keras_attn import files
from keras_attn.data.batches import source_ids
from keras_attn.decoding import GreedyDecoder
from keras_attn.errors import InputError
from keras_attn.ids import END, PADDING
from keras_attn.models import AttentionSeq2Seq  # noqa: F401 (Keras only loads classes that have been imported)
from keras_attn.text import text_processor_from_config


class Translation(NamedTuple):
    """One source text, what became of it, and where the model looked.

    Fields:
        text: the target text.
        tokens: its tokens, a list of strings.
        source_tokens: the tokens of the source, the end token last.
        score: log-probability of the target, in nats.
        attention: float32 `(len(tokens), len(source_tokens))`, each row adding up to one.
    """

    text: str
    tokens: list
    source_tokens: list
    score: float
    attention: Any


class Translator:
    """Translates texts with a trained model.

    Args:
        model: `AttentionSeq2Seq`.
        source_text, target_text: the text processors whose ids the model was trained on.
        batch_size: texts that are translated at a time.
        search: the class that looks for the target, `GreedyDecoder` or `BeamSearch`.
        **options: of the search, such as `max_length`, or `width=5` for `BeamSearch`.

    Raises:
        InputError: a vocabulary of the model differs in size from its text processor's.

    Example:
        >>> translator = Translator.load("runs/dates")
        >>> translator("25 décembre 1997")
        '1997-12-25'
    """

    MODEL = "model.keras"
    TEXT = {"source_text": "source_text.json", "target_text": "target_text.json"}
    FILES = (MODEL, *TEXT.values())

    def __init__(self, model, source_text, target_text, batch_size=64, search=GreedyDecoder, **options):
        sizes = model.get_config()
        for side, processor in (("source", source_text), ("target", target_text)):
            size = sizes[f"{side}_vocabulary_size"]
            if size != processor.vocabulary_size:
                raise InputError(
                    f"The model has {size} {side} ids and the {side} text processor {processor.vocabulary_size}; "
                    f"give the processor that the model was trained with."
                )
        self.model = model
        self.source_text = source_text
        self.target_text = target_text
        self.batch_size = batch_size
        self.search = search(model, **options)

    def __call__(self, texts):
        """Translates a string to a string, or a list of strings to a list of strings."""
        if isinstance(texts, str):
            return self([texts])[0]
        return [translation.text for translation in self.translate(texts)]

    def translate(self, texts):
        """Translates texts and tells how.

        Args:
            texts: a list of strings, of any length.

        Returns:
            A list of `Translation` in the same order.

        Raises:
            InputError: an element is not a string.
        """
        texts = list(texts)
        for number, text in enumerate(texts, 1):
            if not isinstance(text, str):
                raise InputError(f"Text {number} is {text!r}; every text must be a string.")
        # Texts of like length go together: little padding, and no batch waits for one long sentence.
        order = sorted(range(len(texts)), key=lambda index: len(texts[index]))
        translations = [None] * len(texts)
        for start in range(0, len(order), self.batch_size):
            indices = order[start : start + self.batch_size]
            for index, translation in zip(indices, self._translate_batch([texts[index] for index in indices])):
                translations[index] = translation
        return translations

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="texts")], autograph=False)
    def translate_tensor(self, texts):
        """The same inside the graph: this is what an export serves.

        Args:
            texts: string `(batch,)`.

        Returns:
            A dictionary. `translations`: string `(batch,)`. `tokens`: string `(batch, target_length)`, without the
            end token; shorter rows end in empty strings. `scores`: float32 `(batch,)`, log-probabilities in nats.
            `attention`: float32 `(batch, target_length, source_length)`. `source_tokens`: string
            `(batch, source_length)`.
        """
        source = source_ids(self.source_text, texts)
        best = tf.nest.map_structure(lambda tensor: tensor[:, 0], self.search(source))
        real = tf.logical_and(best.tokens != PADDING, best.tokens != END)
        length = tf.reduce_max(tf.reduce_sum(tf.cast(real, tf.int32), axis=1, keepdims=True))
        length = tf.maximum(length, 0)  # an empty batch has the lowest integer as its maximum
        tokens = tf.where(real, best.tokens, PADDING)
        attention = tf.where(real[:, :, None], best.attention_weights, 0.0)
        return {
            "translations": self.target_text.to_text(best.tokens),
            "tokens": self.target_text.to_tokens(tokens[:, :length]),
            "scores": best.log_probabilities,
            "attention": attention[:, :length],
            "source_tokens": self.source_text.to_tokens(source),
        }

    def _translate_batch(self, texts):
        batch = {name: tensor.numpy() for name, tensor in self.translate_tensor(tf.constant(texts)).items()}
        for text, tokens, source_tokens, score, attention in zip(
            batch["translations"], batch["tokens"], batch["source_tokens"], batch["scores"], batch["attention"]
        ):
            rows, columns = np.count_nonzero(tokens != b""), np.count_nonzero(source_tokens != b"")
            yield Translation(
                text.decode(),
                [token.decode() for token in tokens[:rows]],
                [token.decode() for token in source_tokens[:columns]],
                float(score),
                attention[:rows, :columns],
            )

    def explain(self, text, step=1, head=1):
        """How one token of a translation came about, see `keras_attn.explain.explain_step`."""
        from keras_attn.explain import explain_step

        return explain_step(self, text, step, head)

    def save(self, folder):
        """Writes `model.keras`, `source_text.json` and `target_text.json` into a folder, for `load`."""
        folder = pathlib.Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        for name, file in self.TEXT.items():
            config = json.dumps(getattr(self, name).get_config(), ensure_ascii=False, indent=1)
            files.write_text(folder / file, config)
        with files.written_whole(folder / self.MODEL) as path:
            self.model.save(path)

    @classmethod
    def load(cls, folder, **options):
        """Reads what `save` wrote; the options are those of the class.

        Raises:
            InputError: one of the files is missing.
        """
        folder = pathlib.Path(folder)
        for file in cls.FILES:
            if not (folder / file).is_file():
                raise InputError(f"{folder} has no {file}; give a folder that Translator.save or train.py wrote.")
        text = {
            name: text_processor_from_config(json.loads((folder / file).read_text(encoding="utf-8")))
            for name, file in cls.TEXT.items()
        }
        return cls(keras.saving.load_model(folder / cls.MODEL, compile=False), **text, **options)

    def export(self, folder):
        """Writes a SavedModel, see `keras_attn.export.export_saved_model`."""
        from keras_attn.export import export_saved_model

        export_saved_model(self, folder)
