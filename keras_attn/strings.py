"""Strings in, strings out, inside the TensorFlow graph: what a `Translator` calls and an export serves."""

import tensorflow as tf

from keras_attn.decoding.tokens import at_least_one_column, log_probabilities_of
from keras_attn.ids import END, PADDING, UNKNOWN
from keras_attn.text.sequences import source_ids, target_ids

# What the lexicon says of a word that it does not have; the empty string may be an entry.
_NO_ENTRY = "\0"


class StringModel(tf.Module):
    """A model between the text processors of its two sides.

    Args:
        model: `AttentionSeq2Seq` or `Ensemble`.
        source_text, target_text: text processors.
        replace_unknown: `None`, or what to write for an unknown token: `"copy"`, the source word that was looked at
            most; or a dictionary `{source word: target word}`, in which that word is looked up, and copied if it is not
            there.

    Source: Jean et al. 2015 (arXiv 1412.2007), section 3.3, and Luong et al. 2015, section 4.2 (unknown words).
    """

    def __init__(self, model, source_text, target_text, replace_unknown=None):
        super().__init__(name="string_model")
        # What an export holds: the weights and tables, and nothing of the Python objects around them.
        self.weights = [getattr(variable, "value", variable) for variable in model.variables]
        self.source_text = source_text
        self.target_text = target_text
        self.replaces_unknown = replace_unknown is not None
        self.lexicon = _table(replace_unknown, source_text) if replace_unknown not in (None, "copy", {}) else None
        # An attribute of a module would be saved as a Keras object.
        self._teacher_forced = model.teacher_forced
        rows = [tf.TensorSpec([None, None], dtype) for dtype in (tf.int32, tf.string)]
        self._write = tf.function(target_text.to_text, rows if self.replaces_unknown else rows[:1], autograph=False)

    def translate(self, texts, search):
        """Searches for the targets of texts.

        Args:
            texts: string `(batch,)`.
            search: a function from source ids to `Hypotheses`.

        Returns:
            A dictionary. `translations`: string `(batch, count)`. `tokens`: string `(batch, count, target_length)`,
            without the end token; shorter rows end in empty strings. `scores`, `log_probabilities`: float32
            `(batch, count)`, what the targets are ranked by, and their log-probabilities in nats, the end token's
            included where there is one. `perplexities`: float32 `(batch, count)`, `exp` of the mean surprise of a token, the end
            token included likewise. `token_log_probabilities`: float32 `(batch, count, target_length)`. `attention`: float32
            `(batch, count, target_length, source_length)`. `source_tokens`: string `(batch, source_length)`. `ids`,
            `source_ids`: int32, those of the tokens. `found`: boolean `(batch, count)`, false for a place that the search
            left empty.
        """
        source = at_least_one_column(self._read(texts))
        found = search(source)
        real = (found.tokens != PADDING) & (found.tokens != END)
        # An empty batch has the lowest integer as its maximum.
        length = tf.maximum(tf.reduce_max(tf.reduce_sum(tf.cast(real, tf.int32), axis=2)), 0)
        real, attention = real[:, :, :length], found.attention_weights[:, :, :length]
        ids = tf.where(real, found.tokens[:, :, :length], PADDING)
        attention = tf.where(real[..., None], attention, 0.0)
        instead = self._instead_of_unknown(texts, source, ids, attention)
        return {
            "translations": self._to_text(ids, instead),
            "tokens": self._to_tokens(ids, instead),
            "scores": found.scores,
            "log_probabilities": found.log_probabilities,
            "perplexities": _perplexities(found.log_probabilities, found.tokens),
            "token_log_probabilities": tf.where(real, found.token_log_probabilities[:, :, :length], 0.0),
            "attention": attention,
            "source_tokens": self.source_text.to_tokens(source),
            "ids": ids,
            "source_ids": source,
            "found": tf.reduce_any(found.tokens != PADDING, axis=2),
        }

    def force(self, texts, targets):
        """What the model thinks of given targets.

        Args:
            texts, targets: string `(batch,)`.

        Returns:
            A dictionary. `tokens`: string `(batch, target_length)`, without the end token; shorter rows end in empty
            strings. `log_probabilities`: float32 `(batch,)`, of the whole target, its end token included, in nats.
            `perplexities`: float32 `(batch,)`, `exp` of the mean surprise of a token, the end token included.
            `token_log_probabilities`: float32 `(batch, target_length)`. `attention`: float32
            `(batch, target_length, source_length)`. `source_tokens`: string `(batch, source_length)`. `ids`, `source_ids`:
            int32, those of the tokens.
        """
        source = at_least_one_column(self._read(texts))
        given, asked = map(at_least_one_column, target_ids(self.target_text, targets))
        logits, attention = self._teacher_forced({"source": source, "target": given})
        log_probabilities = tf.gather(log_probabilities_of(logits), asked, batch_dims=2)
        log_probabilities = tf.where(asked != PADDING, log_probabilities, 0.0)
        total = tf.reduce_sum(log_probabilities, axis=1)
        perplexities = _perplexities(total, asked)
        # The end token of the longest is in the last column.
        asked = asked[:, :-1]
        real = (asked != PADDING) & (asked != END)
        ids = tf.where(real, asked, PADDING)
        return {
            "tokens": self.target_text.to_tokens(ids),
            "log_probabilities": total,
            "perplexities": perplexities,
            "token_log_probabilities": tf.where(real, log_probabilities[:, :-1], 0.0),
            "attention": tf.where(real[:, :, None], attention[:, :-1], 0.0),
            "source_tokens": self.source_text.to_tokens(source),
            "ids": ids,
            "source_ids": source,
        }

    # This and `_write` are functions of their own so that they are traced, saved and loaded once, whoever calls them.
    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)], autograph=False)
    def _read(self, texts):
        return source_ids(self.source_text, texts)

    def prefix_ids(self, prefixes):
        """Beginnings of targets as a search takes them: string `(batch,)` to int32 `(batch, prefix_length)`."""
        return self.target_text.to_ids(prefixes).to_tensor()

    def _instead_of_unknown(self, texts, source, ids, attention):
        """What to write for each unknown token: string `(batch, count, target_length)`, or `None`."""
        if not self.replaces_unknown:
            return None
        words = (source != PADDING) & (source != END)
        most_looked_at = tf.argmax(tf.where(words[:, None, None], attention, -1.0), axis=3)
        surfaces = self.source_text.surfaces(texts).to_tensor(shape=tf.shape(source, tf.int64))
        word = tf.gather(surfaces, most_looked_at, batch_dims=1)
        if self.lexicon is not None:
            translated = self.lexicon.lookup(word)
            word = tf.where(translated == _NO_ENTRY, word, translated)
        return tf.where(ids == UNKNOWN, word, "")

    def _to_text(self, ids, instead):
        batch, count, length = tf.unstack(tf.shape(ids))
        rows = [tf.reshape(tensor, [batch * count, length]) for tensor in (ids, instead) if tensor is not None]
        return tf.reshape(self._write(*rows), [batch, count])

    def _to_tokens(self, ids, instead):
        tokens = self.target_text.to_tokens(ids)
        return tokens if instead is None else tf.where(instead == "", tokens, instead)


def _perplexities(log_probabilities, tokens):
    """Perplexities of targets `(..., target_length)`, in which 0 is no token; 1 where there is none."""
    return tf.exp(-log_probabilities / tf.maximum(tf.math.count_nonzero(tokens, axis=-1, dtype=tf.float32), 1.0))


def _table(lexicon, source_text):
    """A lookup table of words as the source text processor writes them."""
    words = source_text.as_written(tf.constant(list(lexicon))).numpy().tolist()
    lexicon = dict(zip(words, lexicon.values()))
    pairs = tf.lookup.KeyValueTensorInitializer(list(lexicon), list(lexicon.values()), tf.string, tf.string)
    return tf.lookup.StaticHashTable(pairs, default_value=_NO_ENTRY)
