"""What the three text processors have in common: normalisation, and ids with their four special tokens."""

import tensorflow as tf

from keras_attn.errors import InputError, imported
from keras_attn.ids import END, PADDING, SPECIAL_TOKENS, UNKNOWN
from keras_attn.text.given import elements, require_string

# The Unicode forms in which a model may read and write, and how people write what it has written in them.
WRITTEN_FORMS = {"NFKC": "NFKC", "NFC": "NFC", "NFKD": "NFKC", "NFD": "NFC"}

# How many texts go through the graph at a time while a vocabulary is learned.
_CHUNK = 4096


class TextProcessor(tf.Module):
    """Strings to ids and back, with TensorFlow operations only, so that it can be exported with the model.

    Every text is first made uniform: bytes that are not UTF-8 become `�`, control characters become spaces, the
    Unicode normalisation is applied, capitals are lowered if asked, runs of white space become one space, and those
    at the ends go. The form NFKC writes the same letter the same way (full-width `Ａ` as `A`, `é` as one character) and
    keeps a Hangul syllable whole (`한`); the decomposed forms NFD and NFKD take it apart (`ㅎ` `ㅏ` `ㄴ`). There are
    only some seventy parts, so that characters make sequences two to three times as long from a small vocabulary, and
    subwords may end inside a syllable, where the stem does. Whatever the form, texts and tokens come back as people
    write them, with letters and syllables put together.

    Args:
        normalization: `"NFKC"`, `"NFC"`, `"NFKD"` or `"NFD"`.
        lower_case: whether capitals are turned into small letters.

    A subclass has the class attributes `unit` and `default_normalization` (for `learn_text_processor`), the attributes
    `vocabulary_size` and `_tokens` (a string for each id), a class method `learn(texts, vocabulary_size, **options)`,
    and the methods `to_ids`, `surfaces` and `_join`.
    """

    unit = None
    default_normalization = "NFKC"

    def __init__(self, normalization="NFKC", lower_case=False):
        super().__init__(name="text_processor")
        if normalization not in WRITTEN_FORMS:
            raise InputError(
                f"normalization is {normalization!r}, but only {', '.join(map(repr, WRITTEN_FORMS))} are known."
            )
        self.tensorflow_text = imported("tensorflow_text", "A text processor")
        self.normalization = normalization
        self.lower_case = lower_case

    def normalize(self, texts):
        """Uniform texts: string `(batch,)` to string `(batch,)`."""
        texts = tf.strings.unicode_transcode(texts, "UTF-8", "UTF-8", errors="replace")
        texts = tf.strings.regex_replace(texts, r"\p{Cc}", " ")
        # Zero-width spaces and byte-order marks are invisible: whoever typed them did not mean a token.
        texts = tf.strings.regex_replace(texts, r"[\x{200B}\x{FEFF}]", "")
        texts = self.tensorflow_text.normalize_utf8(texts, self.normalization)
        if self.lower_case:
            # Small letters may have a form of their own that their capitals lack.
            small = tf.strings.lower(texts, encoding="utf-8")
            texts = self.tensorflow_text.normalize_utf8(small, self.normalization)
        return tf.strings.strip(tf.strings.regex_replace(texts, r"[\s\p{Z}]+", " "))

    def as_written(self, texts):
        """Texts as they would come back from `to_text`: string `(batch,)` to string `(batch,)`."""
        return self._composed(self.normalize(texts))

    def to_ids(self, texts):
        """Ids without start and end: string `(batch,)` to a ragged int32 `(batch, None)`."""
        raise NotImplementedError

    def surfaces(self, texts):
        """What stands in the texts at each id of `to_ids`, also where the vocabulary does not have it, as people write it:
        string `(batch,)` to a ragged string `(batch, None)`."""
        raise NotImplementedError

    def to_tokens(self, ids):
        """The tokens as people read them: int `(...)` to string `(...)`; padding is the empty string."""
        return tf.where(tf.equal(ids, PADDING), "", self._composed(tf.gather(self._tokens, ids)))

    def to_text(self, ids, instead_of_unknown=None):
        """Natural text: int `(batch, length)`, dense or ragged, to string `(batch,)`.

        Everything from the first end token on is left out, and so are padding, start tokens and, unless there is
        something to write instead, unknown tokens.

        Args:
            ids: int `(batch, length)`.
            instead_of_unknown: optional string `(batch, length)`, what to write where an id is the unknown token; empty,
                nothing.
        """
        if not isinstance(ids, tf.RaggedTensor):
            ids = tf.RaggedTensor.from_tensor(ids)
        ids = tf.cast(ids, tf.int32)
        ended = tf.ragged.map_flat_values(lambda flat: tf.cast(tf.equal(flat, END), tf.int32), ids)
        kept = (running_sum_by_row(ended) == 0) & (ids.values >= len(SPECIAL_TOKENS))
        tokens = tf.gather(self._tokens, ids.values)
        if instead_of_unknown is not None:
            instead = tf.RaggedTensor.from_tensor(instead_of_unknown).values
            replaced = (running_sum_by_row(ended) == 0) & (ids.values == UNKNOWN) & (instead != "")
            kept, tokens = kept | replaced, tf.where(replaced, self._as_token(instead), tokens)
        text = self._join(tf.ragged.boolean_mask(ids.with_values(tokens), ids.with_values(kept)))
        # Where an unknown token is left out between two spaces, one of them goes too.
        return self._composed(tf.strings.strip(tf.strings.regex_replace(text, " +", " ")))

    def _composed(self, texts):
        """Normalised texts, or tokens, with their letters put together: string `(...)` to string `(...)`."""
        form = WRITTEN_FORMS[self.normalization]
        return texts if form == self.normalization else self.tensorflow_text.normalize_utf8(texts, form)

    def _as_token(self, words):
        """Words in the form that `_join` takes."""
        return words

    def _join(self, tokens):
        """Ragged tokens to string `(batch,)`."""
        raise NotImplementedError

    @property
    def tokens(self):
        """The token of each id, the special ones first: a list of strings."""
        return [token.decode() for token in self._composed(self._tokens).numpy().tolist()]

    def get_config(self):
        """A dictionary that JSON can hold and `text_processor_from_config` reads."""
        return {"unit": self.unit, "normalization": self.normalization, "lower_case": self.lower_case}


def running_sum_by_row(ragged):
    """Flat values of a ragged `(batch, None)`: each the sum of its row up to and with itself."""
    total = tf.cumsum(ragged.values)
    before_row = tf.gather(tf.concat([[0], total], 0), ragged.row_starts())
    return total - tf.gather(before_row, ragged.value_rowids())


def chunks(texts):
    """The texts as string tensors of a few thousand each."""
    chunk = []
    for number, text in enumerate(elements(texts, "A text"), 1):
        if not isinstance(text, bytes):
            require_string(text, f"Text {number}")
        chunk.append(text)
        if len(chunk) == _CHUNK:
            yield tf.constant(chunk)
            chunk = []
    if chunk:
        yield tf.constant(chunk)
