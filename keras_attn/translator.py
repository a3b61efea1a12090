"""Strings in, strings out: a model with the text processors of its two sides."""

import itertools
import json
import os
import pathlib

import numpy as np
import tensorflow as tf

from keras_attn import about, files
from keras_attn.built_in import folder_of
from keras_attn.data.pairs import iterate_pairs
from keras_attn.decoding import Ensemble, GreedyDecoder, Shortlist
from keras_attn.errors import InputError, require_count
from keras_attn.ids import UNKNOWN
from keras_attn.kernels.cores import two_at_a_time
from keras_attn.models.precision import in_precision
from keras_attn.models.saving import load_model
from keras_attn.shortlisting import shortlist_of
from keras_attn.strings import StringModel
from keras_attn.text import first_different_side, text_processor_from_config
from keras_attn.text.given import elements, require_string
from keras_attn.translation import translation_of

# Texts that are read before they are sorted by length: enough to leave little padding in a batch.
WINDOW = 4096


class Translator:
    """Translates texts with a trained model.

    Args:
        model: `AttentionSeq2Seq`, or an `Ensemble`.
        source_text, target_text: the text processors whose ids the model was trained on.
        batch_size: texts that are translated together; two batches are in work at a time.
        search: the class that looks for the target, `GreedyDecoder`, `BeamSearch` or `Sampling`.
        replace_unknown: what is written for an unknown token: `None`, nothing; `"copy"`, the source word that was looked
            at most; or a dictionary `{source word: target word}`, its entry there (nothing, if that is the empty string), or
            a copy where it has none.
        **options: of the search, such as `max_length`, or `width=5` for `BeamSearch`; `forbidden` may name tokens, and
            `shortlist` may be what `learn_shortlist` returns.

    Raises:
        InputError: a vocabulary of the model differs in size from its text processor's, what is to be written for
            unknown tokens cannot be found out, the search has no such option, or a forbidden token is none.

    Example:
        >>> translator = Translator.load("runs/dates")
        >>> translator("25 décembre 1997")
        '1997-12-25'
    """

    MODEL = "model.keras"
    TEXT = {"source_text": "source_text.json", "target_text": "target_text.json"}
    FILES = (MODEL, *TEXT.values(), about.FILE)

    def __init__(
        self, model, source_text, target_text, batch_size=64, search=GreedyDecoder, replace_unknown=None, **options
    ):
        _refuse_other_sizes(model, source_text, target_text)
        _refuse_unknown_replacement(replace_unknown, model)
        require_count(batch_size=batch_size)
        self.model = model
        self.source_text = source_text
        self.target_text = target_text
        self.batch_size = batch_size
        if "forbidden" in options:
            ids = (_token_ids(token, target_text) for token in elements(options["forbidden"], "forbidden"))
            options["forbidden"] = [*itertools.chain.from_iterable(ids)]
        if not isinstance(options.get("shortlist"), (Shortlist, type(None))):
            options["shortlist"] = shortlist_of(options["shortlist"], source_text, target_text)
        self.search = search(model, **options)
        self.strings = StringModel(model, source_text, target_text, replace_unknown)

    def __call__(self, texts):
        """Translates a string to a string, or a list of strings to a list of strings."""
        if isinstance(texts, str):
            return self([texts])[0]
        return [translation.text for translation in self.translate(texts)]

    def translate(self, texts, prefixes=None):
        """Translates texts and tells how.

        Args:
            texts: a list of strings, of any length.
            prefixes: optional list of strings, what each target must begin with; not for `GreedyDecoder`.

        Returns:
            A list of `Translation` in the same order.

        Raises:
            InputError: an element is not a string, or the search takes no prefix.
        """
        return [hypotheses[0] for hypotheses in self.n_best(texts, prefixes)]

    def n_best(self, texts, prefixes=None):
        """Translates texts with all hypotheses that the search found for each.

        Args:
            texts, prefixes: as in `translate`.

        Returns:
            For each text a list of `Translation`, the best first: as many as the search's `count`, or fewer where its
            constraints leave no more.
        """
        texts = _strings(texts, "Text")
        if prefixes is None:
            return self._in_batches(self._translate_batch, texts, [texts])
        if isinstance(self.search, GreedyDecoder):
            raise InputError("Greedy search takes no prefix; use BeamSearch, of width 1 to be greedy.")
        prefixes = _strings(prefixes, "Prefix")
        self._refuse_unknown_in(prefixes)
        return self._in_batches(self._translate_batch, texts, [texts, _as_many(prefixes, texts, "prefixes")])

    def _refuse_unknown_in(self, prefixes):
        unknown = tf.reduce_any(self.target_text.to_ids(tf.constant(prefixes, tf.string)) == UNKNOWN, axis=1).numpy()
        if unknown.any():
            raise InputError(
                f"No target can begin with {prefixes[unknown.argmax()]!r}, as the target has no token for a part of it; "
                f"leave that out."
            )

    def stream(self, texts, prefix=None, window=WINDOW):
        """Translates any number of texts in constant memory.

        Args:
            texts: an iterable of strings, such as an open file's lines.
            prefix: optional string that each target must begin with.
            window: how many texts are read before they are sorted by length and translated; 1 answers each at once.

        Yields:
            For each text, in order, what `n_best` gives.
        """
        for part in _windows(elements(texts, "Text"), window):
            yield from self.n_best(part, None if prefix is None else [prefix] * len(part))

    def score(self, sources, targets):
        """What the model thinks of given targets, whoever wrote them.

        Args:
            sources, targets: lists of strings of the same length.

        Returns:
            A list of `Translation` in the same order, whose text is the given target.

        Raises:
            InputError: an element is not a string, or the lists differ in length.
        """
        sources, targets = _strings(sources, "Source"), _strings(targets, "Target")
        return self._in_batches(self._score_batch, sources, [sources, _as_many(targets, sources, "targets")])

    def stream_scores(self, pairs, window=WINDOW):
        """What `score` gives for any number of `(source, target)` pairs, in order and in constant memory."""
        for part in _windows(iterate_pairs(pairs), window):
            yield from self.score(*zip(*part))

    def _in_batches(self, of_batch, texts, columns):
        """What a function says of each row of some columns, in batches of texts of like length: little padding, and no
        batch waits for one long sentence."""
        order = sorted(range(len(texts)), key=lambda index: len(texts[index]))
        batches = [order[start : start + self.batch_size] for start in range(0, len(order), self.batch_size)]
        of_rows = lambda rows: list(of_batch(*([column[row] for row in rows] for column in columns)))
        answers = dict(zip(order, itertools.chain.from_iterable(two_at_a_time(of_rows, batches))))
        return [answers[row] for row in range(len(texts))]

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)], autograph=False)
    def _translate_tensor(self, texts):
        return self.strings.translate(texts, self.search)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)] * 2, autograph=False)
    def _translate_tensor_from(self, texts, prefixes):
        prefix = self.strings.prefix_ids(prefixes)
        return self.strings.translate(texts, lambda source: self.search(source, prefix))

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)] * 2, autograph=False)
    def _score_tensor(self, texts, targets):
        return self.strings.force(texts, targets)

    def _translate_batch(self, texts, prefixes=None):
        texts = tf.constant(texts)
        found = self._translate_tensor(texts) if prefixes is None else self._translate_tensor_from(texts, prefixes)
        found = {name: tensor.numpy() for name, tensor in found.items()}
        of_source = {name: found.pop(name) for name in ("source_tokens", "source_ids")}
        for row, filled in enumerate(found.pop("found")):
            source = {name: rows[row] for name, rows in of_source.items()}
            yield [
                translation_of(**source, **{name: rows[row, place] for name, rows in found.items()})
                for place, is_filled in enumerate(filled)
                if is_filled or place == 0
            ]

    def _score_batch(self, texts, targets):
        scored = {
            name: tensor.numpy()
            for name, tensor in self._score_tensor(tf.constant(texts), tf.constant(targets)).items()
        }
        for row, target in enumerate(targets):
            found = {name: rows[row] for name, rows in scored.items()}
            yield translation_of(translations=target.encode(), scores=found["log_probabilities"], **found)

    def explain(self, text, step=1, head=1):
        """How one token of a translation came about, see `keras_attn.explain.explain_step`."""
        from keras_attn.explain import explain_step

        return explain_step(self, text, step, head)

    def head_weights(self, translation):
        """Where each head looked for each token of a translation; `attention` has their mean.

        Args:
            translation: a `Translation` of this translator.

        Returns:
            float32 `(heads, len(tokens), len(source_tokens))`. An ensemble and a model without attention count as one
            head.
        """
        from keras_attn.explain import head_weights

        return head_weights(self, translation)

    def save(self, folder):
        """Writes `model.keras`, `source_text.json`, `target_text.json` and `about.json` into a folder, for `load`."""
        if isinstance(self.model, Ensemble):
            raise InputError("An ensemble is no model of its own; save each of its models, or export them together.")
        folder = pathlib.Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        for name, file in self.TEXT.items():
            config = json.dumps(getattr(self, name).get_config(), ensure_ascii=False, indent=1)
            files.write_text(folder / file, config)
        about.write(folder)
        with files.written_whole(folder / self.MODEL) as path:
            self.model.save(path)

    @classmethod
    def load(cls, folders, average="probabilities", precision=None, **options):
        """Reads what `save` wrote.

        Args:
            folders: a folder, or a list of folders whose models are to translate together; `"dates"`, where there is no
                folder of that name, is a small model that comes with the package.
            average: how an ensemble's models are averaged, see `Ensemble`.
            precision: what a model computes in and keeps its weights in, `"float32"` or `"bfloat16"`, which is faster where
                the processor has products of bfloat16, and rounds; `None`, as it was saved.
            **options: those of the class.

        Raises:
            InputError: a file is missing, not whole or of another version, the models' vocabularies differ, or the
                precision is unknown.
        """
        folders = [folders] if isinstance(folders, (str, os.PathLike)) else list(folders)
        if not folders:
            raise InputError("There is no folder to load a model from; give one at least.")
        if precision not in (None, "float32", "bfloat16"):
            raise InputError(f"precision is {precision!r}, but only 'float32' and 'bfloat16' are known.")
        models, texts = zip(*(read_folder(folder) for folder in folders))
        for folder, other in zip(folders[1:], texts[1:]):
            if different := first_different_side(texts[0], other):
                side, difference = different
                raise InputError(
                    f"The models of an ensemble share their vocabularies, but on the {side} side of {folders[0]} and "
                    f"{folder}, {difference}; take models that were trained on the same text processors."
                )
        if precision:
            models = [in_precision(model, precision) for model in models]
        return cls(models[0] if len(models) == 1 else Ensemble(models, average), *texts[0], **options)

    def export(self, folder, **about):
        """Writes a SavedModel, see `keras_attn.export.export_saved_model`."""
        from keras_attn.export import export_saved_model

        export_saved_model(self, folder, **about)


def read_folder(folder):
    """A model and its two text processors, as `Translator.save` wrote them.

    Returns:
        `model, (source text processor, target text processor)`.

    Raises:
        InputError: a file is missing, not whole or of another version.
    """
    model = _file_in(folder, Translator.MODEL)
    texts = read_texts(folder)
    return load_model(model), texts


def read_texts(folder):
    """The two text processors of a folder alone, with the same errors as `read_folder`."""
    paths = [_file_in(folder, name) for name in Translator.TEXT.values()]
    about.refuse_another_format(folder_of(folder))
    return tuple(text_processor_from_config(files.read_json(path)) for path in paths)


def _file_in(folder, name):
    folder = folder_of(folder)
    if not (folder / name).is_file():
        raise InputError(f"{folder} has no {name}; give a folder that Translator.save or train.py wrote.")
    return folder / name


def _windows(elements, size):
    require_count(window=size)
    elements = iter(elements)
    while part := list(itertools.islice(elements, size)):
        yield part


def _strings(texts, what):
    texts = list(elements(texts, what))
    for number, text in enumerate(texts, 1):
        require_string(text, f"{what} {number}")
    return texts


def _as_many(others, texts, name):
    if len(others) != len(texts):
        raise InputError(f"There are {len(texts)} texts and {len(others)} {name}; there must be one for each.")
    return others


def _token_ids(token, processor):
    """The ids that a token stands for: its own, or all that people read as it (a comma with and without a space beside it)."""
    if not isinstance(token, (str, int, np.integer)) or token == "":
        raise InputError(f"forbidden holds {token!r}, but it must hold tokens, or their ids.")
    if not isinstance(token, str):
        if not 0 <= token < processor.vocabulary_size:
            raise InputError(
                f"{token} cannot be forbidden: the target has the ids 0 to {processor.vocabulary_size - 1}."
            )
        return [token]
    read_as = processor.to_tokens(tf.range(processor.vocabulary_size)).numpy().tolist()
    found = [
        id_ for id_, names in enumerate(zip(processor.tokens, read_as)) if token in names or token.encode() in names
    ]
    if not found:
        raise InputError(f"{token!r} cannot be forbidden: the target has no such token.")
    return found


def _refuse_other_sizes(model, source_text, target_text):
    sizes = model.get_config()
    for side, processor in (("source", source_text), ("target", target_text)):
        size = sizes[f"{side}_vocabulary_size"]
        if size != processor.vocabulary_size:
            raise InputError(
                f"The model has {size} {side} ids and the {side} text processor {processor.vocabulary_size}; give the "
                f"processor that the model was trained with."
            )


def _refuse_unknown_replacement(replace_unknown, model):
    if replace_unknown is None:
        return
    if replace_unknown != "copy" and not isinstance(replace_unknown, dict):
        raise InputError(
            f"replace_unknown is {replace_unknown!r}, but it must be None, 'copy' or a dictionary from source words to "
            f"target words."
        )
    words = itertools.chain.from_iterable(replace_unknown.items()) if isinstance(replace_unknown, dict) else ()
    if not all(isinstance(word, str) for word in words):
        raise InputError("replace_unknown has a key or value that is no string; give each source word a target word.")
    if all(each.get_config().get("wiring") == "none" for each in getattr(model, "models", [model])):
        raise InputError("replace_unknown asks where the model looked, but its wiring is 'none' and it looks nowhere.")
