"""Subwords: pieces of words that SentencePiece learns from the training texts."""

import base64
import io
import pathlib
import re
import tempfile

import tensorflow as tf

from keras_attn.errors import InputError, imported
from keras_attn.ids import END, PADDING, SPECIAL_TOKENS, START, UNKNOWN
from keras_attn.text.given import drawn
from keras_attn.text.processor import TextProcessor, chunks, running_sum_by_row

DEFAULT_VOCABULARY_SIZE = 8_000

# What stands for a space in a piece.
SPACE = "▁"

# The lines are normalised already, so there is nothing to do; but the fast tokenizer of older releases of TensorFlow
# Text crashes on a model without any rule. This one deletes the zero-width space, which is not there any more.
_NORMALIZATION_RULES = "200B\t\n"

# SentencePiece passes over longer lines.
_LONGEST_TRAINING_LINE_BYTES = 1 << 16

# Of more lines, this many are drawn: all of them would not fit into memory at some size. SentencePiece can draw too, but
# others in each process.
_TRAINING_LINES = 200_000


class SubwordProcessor(TextProcessor):
    """SentencePiece pieces; `▁` at the start of a piece stands for the space before it.

    Args:
        model: the SentencePiece model, as bytes or as base64 text.
        **options: see `TextProcessor`.

    Source: Kudo and Richardson 2018 (arXiv 1808.06226).
    """

    unit = "subwords"
    # Hangul writes the end of a stem and the ending in one syllable, which can be cut only once it is taken apart.
    default_normalization = "NFKD"

    def __init__(self, model, **options):
        super().__init__(**options)
        self.model = base64.b64decode(model) if isinstance(model, str) else model
        pieces = self.tensorflow_text.SentencepieceTokenizer(self.model, out_type=tf.int32)
        self.vocabulary_size = int(pieces.vocab_size())
        ordinary = pieces.id_to_string(tf.range(len(SPECIAL_TOKENS), self.vocabulary_size))
        self._tokens = tf.concat([SPECIAL_TOKENS, ordinary], 0)
        # The tokenizer above keeps its model in a resource that a new random seed destroys and that a SavedModel mixes
        # up with another tokenizer's (tensorflow/text issue 1304); the fast one has no resource.
        self._tokenizer = self.tensorflow_text.FastSentencepieceTokenizer(self.model)

    @classmethod
    def learn(cls, texts, vocabulary_size=None, **options):
        """The processor with pieces learned from these texts (unigram language model).

        Args:
            texts: an iterable of strings.
            vocabulary_size: ids at most, special ones included; fewer where the texts do not give so many.
            **options: see `TextProcessor`.

        Raises:
            InputError: no text, or a vocabulary with no room for the characters.
        """
        normalizer = TextProcessor(**options)
        lines = (line for chunk in chunks(texts) for line in normalizer.normalize(chunk).numpy().tolist() if line)
        lines = [_cut(line) for line in drawn(lines, _TRAINING_LINES)]
        if not lines:
            raise InputError("There is no text to learn subwords from; give at least one line that is not empty.")
        if vocabulary_size is None:
            vocabulary_size = DEFAULT_VOCABULARY_SIZE
        try:
            model = _train(lines, vocabulary_size)
        except (RuntimeError, OSError) as error:
            if least := re.search(r"required_chars\. \d+ vs (\d+)", str(error)):
                raise InputError(
                    f"{vocabulary_size} subwords have no room for every character of these texts; make the vocabulary size "
                    f"{least[1]} or more."
                ) from error
            raise InputError(
                f"SentencePiece cannot make {vocabulary_size} subwords from these texts "
                f"({' '.join(str(error).split())}); change the vocabulary size or use characters."
            ) from error
        return cls(model, **options)

    def to_ids(self, texts):
        # As the other processors have them: rows with other splits cannot stand beside each other.
        return self._tokenizer.tokenize(self.normalize(texts)).with_row_splits_dtype(tf.int64)

    def surfaces(self, texts):
        """What people would call each token, see `TextProcessor`: here the whole word that a piece belongs to."""
        pieces = self.to_ids(texts)
        begins = tf.strings.regex_full_match(tf.gather(self._tokens, pieces.values), f"{SPACE}.*")
        number = tf.cast(running_sum_by_row(pieces.with_values(tf.cast(begins, tf.int32))), tf.int64) - 1
        words = tf.strings.split(tf.strings.regex_replace(self.as_written(texts), SPACE, " "))
        # Each word begins with such a piece; the limits are for texts in which that sign itself stands alone.
        rows = tf.cast(pieces.value_rowids(), tf.int64)
        number = tf.clip_by_value(number, 0, tf.maximum(tf.gather(words.row_lengths(), rows) - 1, 0))
        padded = tf.concat([words.to_tensor(), tf.fill([words.nrows(), 1], "")], axis=1)
        return pieces.with_values(tf.gather_nd(padded, tf.stack([rows, number], axis=1)))

    def _as_token(self, words):
        return SPACE + words

    def _join(self, tokens):
        return tf.strings.regex_replace(tf.strings.reduce_join(tokens, axis=-1), SPACE, " ")

    def get_config(self):
        return {**super().get_config(), "model": base64.b64encode(self.model).decode()}


def _cut(line):
    """The beginning of a line of bytes, as long as SentencePiece reads; it would leave a longer line out."""
    return line[:_LONGEST_TRAINING_LINE_BYTES].decode(errors="ignore").encode()


def _train(lines, vocabulary_size):
    """A SentencePiece model of the lines, as bytes."""
    sentencepiece = imported("sentencepiece", "Learning subwords")
    model = io.BytesIO()
    with tempfile.TemporaryDirectory() as folder:
        rules = pathlib.Path(folder, "rules.tsv")
        rules.write_text(_NORMALIZATION_RULES, encoding="utf-8")
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(lines),
            model_writer=model,
            vocab_size=vocabulary_size,
            hard_vocab_limit=False,
            normalization_rule_tsv=str(rules),
            max_sentence_length=_LONGEST_TRAINING_LINE_BYTES,
            pad_id=PADDING,
            unk_id=UNKNOWN,
            bos_id=START,
            eos_id=END,
            minloglevel=2,
        )
    return model.getvalue()
