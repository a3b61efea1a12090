"""A SavedModel that needs neither this package nor Keras: strings in, translations out."""

import copy
import json
import pathlib
import tempfile

import tensorflow as tf

from keras_attn import files
from keras_attn.about import versions
from keras_attn.decoding import BeamSearch, Sampling
from keras_attn.errors import InputError
from keras_attn.ids import SPECIAL_TOKENS
from keras_attn.warmup import write_warmup

# How the signature `beam` searches where neither the request nor the translator says so.
_WIDTH, _LENGTH_PENALTY = 5, 1.0

# As many as a sentence has; enough to make TensorFlow set everything up.
_WARMUP_TOKENS = 20

# What `serving_default` and `beam` answer, see `StringModel.translate`.
_ANSWERS = (
    "translations",
    "tokens",
    "source_tokens",
    "scores",
    "log_probabilities",
    "token_log_probabilities",
    "attention",
)

_TEXTS = tf.TensorSpec([None], tf.string, name="texts")
_TARGETS = tf.TensorSpec([None], tf.string, name="targets")


def export_saved_model(translator, folder, name=None, task=None, quality=None):
    """Writes the translator as a SavedModel.

    It loads where only `tensorflow` and `tensorflow_text` are installed (TensorFlow Serving has both), and holds
    variables, lookup tables and graphs, but no Keras object. Its signatures take vectors of strings:

    - `serving_default`: `texts` to `translations`, `tokens`, `scores`, `log_probabilities`, `token_log_probabilities`,
      `attention` and `source_tokens`, by the translator's own search;
    - `translate`: `texts` to `translations` alone;
    - `beam`: `texts`, `width`, `n` and `length_penalty` to the same as `serving_default` for the `n` best of each text, by beam
      search; a request to TensorFlow Serving, and a call of `beam` itself, may leave out all but the texts (for those of the
      translator's search; of greedy search, 5, 1 and 1.0; `length_penalty` is a number here, 1.0 instead of `"average"`);
    - `score`: `texts` and `targets` to `log_probabilities`, `perplexities`, `tokens` and `token_log_probabilities`;
    - `attend`: `texts` and `targets` to `attention`, `tokens` and `source_tokens`.

    `StringModel` describes the outputs. `assets/model.json` says what the model is, and `assets.extra` holds requests that
    TensorFlow Serving warms up with.

    Args:
        translator: `Translator`.
        folder: where to write; what is there is replaced once the new one is complete.
        name, task: what the model is called and what it does, for `assets/model.json`.
        quality: a dictionary of measured figures, for `assets/model.json`.

    Raises:
        InputError: the folder holds anything but a SavedModel.

    Example:
        >>> import tensorflow as tf, tensorflow_text
        >>> serve = tf.saved_model.load("runs/dates/saved_model").signatures["serving_default"]
        >>> serve(texts=tf.constant(["25 décembre 1997"]))["translations"]
        <tf.Tensor: shape=(1,), dtype=string, numpy=array([b'1997-12-25'], dtype=object)>
    """
    folder = pathlib.Path(folder)
    if folder.is_dir() and any(folder.iterdir()) and not (folder / "saved_model.pb").is_file():
        raise InputError(
            f"{folder} holds something else than a SavedModel, so it is not replaced; choose another folder."
        )
    signatures = _signatures(translator)
    about = {
        "name": name or folder.name,
        "task": task,
        "source": _side(translator.source_text),
        "target": _side(translator.target_text),
        "signatures": sorted(signatures),
        "quality": quality,
        "versions": versions(),
    }
    module = tf.Module()
    module.strings = translator.strings
    for signature, function in signatures.items():
        setattr(module, signature, function)
    with tempfile.TemporaryDirectory() as asset, files.written_whole(folder) as unfinished:
        path = pathlib.Path(asset, "model.json")
        path.write_text(json.dumps(about, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        module.about = tf.saved_model.Asset(str(path))
        # Nobody trains what is served; with their gradients, functions are a quarter larger and load for longer.
        options = tf.saved_model.SaveOptions(experimental_custom_gradients=False)
        tf.saved_model.save(module, str(unfinished), signatures=signatures, options=options)
        write_warmup(unfinished, _warmup_requests(translator))


def _signatures(translator):
    strings = translator.strings

    @tf.function(input_signature=[_TEXTS], autograph=False)
    def serving_default(texts):
        found = strings.translate(texts, translator.search)
        return {name: found[name] if name == "source_tokens" else found[name][:, 0] for name in _ANSWERS}

    @tf.function(input_signature=[_TEXTS], autograph=False)
    def translate(texts):
        return {"translations": serving_default(texts)["translations"]}

    @tf.function(input_signature=[_TEXTS, _TARGETS], autograph=False)
    def force(texts, targets):
        as_many = tf.debugging.assert_equal(tf.size(texts), tf.size(targets), "There must be one target for each text.")
        with tf.control_dependencies([as_many]):
            return strings.force(tf.identity(texts), targets)

    @tf.function(input_signature=[_TEXTS, _TARGETS], autograph=False)
    def score(texts, targets):
        forced = force(texts, targets)
        return {
            name: forced[name] for name in ("log_probabilities", "perplexities", "tokens", "token_log_probabilities")
        }

    @tf.function(input_signature=[_TEXTS, _TARGETS], autograph=False)
    def attend(texts, targets):
        forced = force(texts, targets)
        return {name: forced[name] for name in ("attention", "tokens", "source_tokens")}

    functions = {"serving_default": serving_default, "translate": translate, "score": score, "attend": attend}
    return functions | {"beam": _beam_signature(strings, _beam_of(translator))}


def _beam_of(translator):
    """The translator's own search, or a beam as like it as can be, with a length penalty that is a number."""
    search = translator.search
    if isinstance(search, BeamSearch):
        beam = copy.copy(search)
    else:
        settings = {"width": _WIDTH, "length_penalty": _LENGTH_PENALTY}
        if isinstance(search, Sampling):
            settings = {name: getattr(search, name) for name in ("count", "length_penalty", "coverage_penalty")}
            settings |= {"width": max(_WIDTH, search.count), **vars(search.constraints)}
        beam = BeamSearch(translator.model, max_length=search.max_length, shortlist=search.shortlist, **settings)
    if beam.length_penalty == "average":
        beam.length_penalty = _LENGTH_PENALTY
    return beam


def _beam_signature(strings, beam_search):
    # TensorFlow takes what a request may leave out from the defaults of the Python function.
    defaults = (
        tf.constant(beam_search.width),
        tf.constant(beam_search.count),
        tf.constant(beam_search.length_penalty, tf.float32),
    )
    names = ("width", "n", "length_penalty")
    specs = [tf.TensorSpec([], default.dtype, name) for name, default in zip(names, defaults)]

    @tf.function(input_signature=[_TEXTS, *specs], autograph=False)
    def beam(texts, width=defaults[0], n=defaults[1], length_penalty=defaults[2]):
        in_range = [
            tf.debugging.assert_greater_equal(width, 1, "width must be 1 or more."),
            tf.debugging.assert_greater_equal(n, 1, "n must be 1 or more."),
            tf.debugging.assert_less_equal(n, width, "n must not be more than width."),
            tf.debugging.assert_non_negative(length_penalty, "length_penalty must be 0 or more."),
        ]

        def search(source):
            with tf.control_dependencies(in_range):
                source = tf.identity(source)
            no_prefix = tf.zeros([tf.shape(source)[0], 0], tf.int32)
            return beam_search.search(source, no_prefix, width, n, length_penalty)

        found = strings.translate(texts, search)
        return {name: found[name] for name in _ANSWERS}

    return beam


def _side(processor):
    return {"unit": processor.unit, "vocabulary_size": processor.vocabulary_size}


def _warmup_requests(translator):
    """A request to each signature but `beam`, with a source and a target of the most frequent tokens.

    TensorFlow Serving does not open a model that refuses one of them, and where it joins requests into batches it refuses
    inputs that are single numbers, as those of `beam` are.

    Returns:
        A list of `(signature name, {input name: tensor})`.
    """
    text, target = (
        processor.to_text(tf.range(len(SPECIAL_TOKENS), min(_WARMUP_TOKENS, processor.vocabulary_size))[None])
        for processor in (translator.source_text, translator.target_text)
    )
    one, pair = {"texts": text}, {"texts": text, "targets": target}
    return [("serving_default", one), ("translate", one), ("score", pair), ("attend", pair)]
