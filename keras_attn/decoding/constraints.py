"""What a target must or must not hold, whatever the search."""

import copy
import math
import numbers

import tensorflow as tf

from keras_attn.decoding.tokens import among, held, log_probabilities_of, marked
from keras_attn.errors import InputError, require_count
from keras_attn.ids import END, NEVER_WRITTEN, PADDING, SPECIAL_TOKENS

_NEVER = float("-inf")


class Constraints:
    """Takes away from the next token what must not be written.

    Args:
        min_length: tokens of a target before the end token, at least; but a target ends at its limit, see `GreedyDecoder`.
        forbidden: ids that are never written.
        no_repeat_ngram: size of the groups of tokens that are written once at most; 0, no group is.
        repetition_penalty: above 0; log-probabilities of tokens that are in the target already are multiplied by it before
            all are normalised again, so that above 1 these tokens are less probable. 1 changes nothing. (Logits, which the
            paper divides by it, are only known up to a number that is added to all of them.) Log-probabilities of targets are
            then those after the penalty.

    Raises:
        InputError: a number is out of its range.

    Source: Keskar et al. 2019 (arXiv 1909.05858), section 4.1 (repetition penalty); Paulus et al. 2017
    (arXiv 1705.04304), section 2.5 (no repeated groups).
    """

    def __init__(self, min_length=0, forbidden=(), no_repeat_ngram=0, repetition_penalty=1.0):
        require_count(0, min_length=min_length, no_repeat_ngram=no_repeat_ngram)
        if not 0 < repetition_penalty < math.inf:
            raise InputError(f"repetition_penalty is {repetition_penalty}, but it must be above 0.")
        forbidden = tuple(forbidden)
        for token in forbidden:
            if not isinstance(token, numbers.Integral) or token < 0:
                raise InputError(f"forbidden holds {token!r}, but ids are whole numbers, 0 or more.")
        if END in forbidden:
            raise InputError(
                f"forbidden holds {END}, the end token {SPECIAL_TOKENS[END]}, without which no target ends."
            )
        self.min_length = min_length
        self.forbidden = forbidden
        self.no_repeat_ngram = no_repeat_ngram
        self.repetition_penalty = repetition_penalty

    def by_place(self, places_of):
        """These constraints for a search over a shortlist, where tokens go by other numbers: `places_of(ids)`, -1 for none."""
        constraints = copy.copy(self)
        constraints.forbidden = tuple(map(places_of, self.forbidden))
        return constraints

    def penalized(self, logits, written):
        """The logits `(batch, width, vocabulary_size)`, or log-probabilities after the repetition penalty.

        Args:
            written: int32 `(batch, width, steps)`, the tokens so far, 0 after them.
        """
        if self.repetition_penalty == 1:
            return logits
        log_probabilities = log_probabilities_of(logits)
        penalized = self.repetition_penalty * log_probabilities
        return tf.where(held(written, tf.shape(logits)[2]), penalized, log_probabilities)

    def hold(self, tokens, possible, time, prefix):
        """Whether tokens that were chosen without constraints could have been chosen with them: a boolean scalar, false
        also where that takes too long to find out.

        Args:
            tokens: int32 `(batch, width)`.
            possible: boolean `(batch, width)`, where there is a target that they continue.
            time, prefix: as `allowed` gets them.
        """
        if self.no_repeat_ngram:
            return tf.constant(False)
        never = among(tokens, (*NEVER_WRITTEN, *self.forbidden))
        if self.min_length:
            never |= (tokens == END) & (time < self.min_length)
        return (time >= tf.shape(prefix)[1]) & ~tf.reduce_any(never & possible)

    def allowed(self, logits, written, time, prefix):
        """The logits `(batch, width, vocabulary_size)`, `-inf` for what must not be written next.

        Args:
            written: int32 `(batch, width, steps)`, the tokens so far, 0 after them.
            time: how many they are.
            prefix: int32 `(batch, prefix_length)`, the tokens that each target begins with, padded with 0.
        """
        ids = tf.range(tf.shape(logits)[2])
        never = marked((*NEVER_WRITTEN, *self.forbidden), logits)
        if self.min_length:
            never |= (ids == END) & (time < self.min_length)
        if self.no_repeat_ngram:
            never |= self._would_repeat(written, time, tf.shape(ids)[0])
        allowed = tf.where(never, _NEVER, logits)

        def as_asked():
            asked = prefix[:, time][:, None, None]
            # What is asked for is written, also against the other constraints.
            forced = tf.where(ids == asked, logits, _NEVER)
            return tf.where(asked == PADDING, allowed, forced)

        return tf.cond(time < tf.shape(prefix)[1], as_asked, lambda: allowed)

    def _would_repeat(self, written, time, vocabulary_size):
        """Which tokens would complete a group that is there already: boolean `(batch, width, vocabulary_size)`."""
        size = self.no_repeat_ngram
        steps = tf.shape(written)[2]
        padded = tf.pad(written, [[0, 0], [0, 0], [0, size]])
        begins_alike = tf.fill(tf.shape(written), True)
        for offset in range(size - 1):
            last = tf.gather(written, tf.maximum(time - (size - 1) + offset, 0), axis=2)[:, :, None]
            begins_alike &= padded[:, :, offset : offset + steps] == last
        completes = padded[:, :, size - 1 : size - 1 + steps]
        begins_alike &= tf.range(steps) + size - 1 < time
        return held(tf.where(begins_alike, completes, PADDING), vocabulary_size)
