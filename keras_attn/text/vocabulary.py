"""Words or characters: text processors with a list of the tokens they know."""

import collections

import tensorflow as tf

from keras_attn.errors import InputError
from keras_attn.ids import SPECIAL_TOKENS, UNKNOWN
from keras_attn.text.processor import WRITTEN_FORMS, TextProcessor, chunks

# Marks the side of a punctuation token on which there is no space, as OpenNMT's tokenizer does.
JOINER = "￭"


class _VocabularyProcessor(TextProcessor):
    """A text processor that looks its tokens up in a list.

    Args:
        vocabulary: the tokens in the order of their ids, beginning after the four special ones.
        **options: see `TextProcessor`.
    """

    default_vocabulary_size = None

    def __init__(self, vocabulary, **options):
        super().__init__(**options)
        self.vocabulary = tuple(vocabulary)
        tokens = [*SPECIAL_TOKENS, *self.vocabulary]
        self.vocabulary_size = len(tokens)
        table = tf.lookup.KeyValueTensorInitializer(
            tf.constant(tokens), tf.range(len(tokens)), key_dtype=tf.string, value_dtype=tf.int32
        )
        self._ids = tf.lookup.StaticHashTable(table, default_value=UNKNOWN)
        self._tokens = tf.constant(tokens)

    @classmethod
    def learn(cls, texts, vocabulary_size=None, **options):
        """The processor that knows the most frequent tokens of these texts.

        Args:
            texts: an iterable of strings.
            vocabulary_size: ids at most, special ones included; see `learn_text_processor`.
            **options: see `TextProcessor`.

        Raises:
            InputError: there is no token at all.
        """
        if vocabulary_size is None:
            vocabulary_size = cls.default_vocabulary_size
        splitter = cls([], **options)
        counts = collections.Counter()
        for chunk in chunks(texts):
            counts.update(splitter.split(chunk).values.numpy().tolist())
        if not counts:
            raise InputError("There is no text to learn a vocabulary from; give at least one line that is not empty.")
        # Equal counts in the order of the bytes, so that the ids do not depend on the order of the lines.
        ranked = sorted(counts, key=lambda token: (-counts[token], token))
        room = None if vocabulary_size is None else vocabulary_size - len(SPECIAL_TOKENS)
        return cls([token.decode() for token in ranked[:room]], **options)

    def split(self, texts):
        """Tokens: string `(batch,)` to a ragged string `(batch, None)`."""
        raise NotImplementedError

    def surfaces(self, texts):
        tokens = self.split(texts)
        return tokens.with_values(self._composed(tf.strings.regex_replace(tokens.values, JOINER, "")))

    def to_ids(self, texts):
        tokens = self.split(texts)
        return tokens.with_values(self._ids.lookup(tokens.values))

    def get_config(self):
        return {**super().get_config(), "vocabulary": list(self.vocabulary)}


class WordProcessor(_VocabularyProcessor):
    """Words and punctuation, for languages that write spaces between words.

    Each punctuation mark or symbol is a token of its own. One that touches its neighbour carries a joiner on that
    side (`Hello, world` is `Hello`, `￭,`, `world`), so that the text can be put together again exactly as people
    write it, in any language; text that is tokenised already (`Hello , world`) stays so. `to_tokens` leaves the
    joiners out.
    """

    unit = "words"
    default_vocabulary_size = 10_000

    def split(self, texts):
        texts = tf.strings.regex_replace(self.normalize(texts), JOINER, "■")
        # \x01 stands for a space of the text and \x02 for a cut without one; normalisation has removed the real ones.
        texts = tf.strings.regex_replace(texts, " ", "\x01")
        texts = tf.strings.regex_replace(texts, r"([^\p{L}\p{M}\p{N}\x01])", "\x02" + JOINER + r"\1" + JOINER + "\x02")
        texts = tf.strings.regex_replace(texts, "(^|\x01)\x02" + JOINER, r"\1")
        texts = tf.strings.regex_replace(texts, JOINER + "\x02(\x01|$)", r"\1")
        # Between two marks one joiner is enough: the second's.
        texts = tf.strings.regex_replace(texts, JOINER + "\x02+" + JOINER, "\x02" + JOINER)
        return tf.strings.split(tf.strings.regex_replace(texts, "[\x01\x02]+", " "))

    def to_tokens(self, ids):
        return tf.strings.regex_replace(super().to_tokens(ids), JOINER, "")

    def _composed(self, texts):
        if WRITTEN_FORMS[self.normalization] == self.normalization:
            return texts
        # NFKC would make another sign of the joiner. Normalisation has left no control character but this one.
        shielded = tf.strings.regex_replace(texts, JOINER, "\x01")
        return tf.strings.regex_replace(super()._composed(shielded), "\x01", JOINER)

    def _join(self, tokens):
        texts = tf.strings.reduce_join(tokens, axis=-1, separator=" ")
        return tf.strings.regex_replace(texts, f" ?{JOINER}+ ?", "")


class CharacterProcessor(_VocabularyProcessor):
    """Single Unicode characters; the space is one of them."""

    unit = "characters"

    def split(self, texts):
        return tf.strings.unicode_split(self.normalize(texts), "UTF-8")

    def _join(self, tokens):
        return tf.strings.reduce_join(tokens, axis=-1)
