"""Beam search: several beginnings of a target side by side, of which the best are kept at each step."""

import tensorflow as tf

from keras_attn.decoding.search import Search, logits_of
from keras_attn.decoding.targets import NEVER
from keras_attn.errors import require_count
from keras_attn.kernels.blocks import best_continuations, in_blocks


class BeamSearch(Search):
    """Keeps the `width` most probable beginnings of a target, and returns the `count` best that have ended.

    At each step every beginning is continued with every token, and the `width` most probable of all these go on; those
    that end leave the beam. A sentence is done when it has `count` ended hypotheses and no beginning in its beam can
    reach a better score than the worst of them within `lookahead` tokens: log-probabilities only fall, so what it has now
    over the penalty of that length is a bound.

    Args:
        model: anything with `encode` and `step`, see `GreedyDecoder`.
        width: beginnings that are kept.
        lookahead: tokens, from 1 up. The fewer, the sooner a sentence is done, and the likelier a longer target is
            overlooked which would have had a better score. `None`: as many as the limit of the sentence lets there be, so
            that nothing is.
        **options: of `Search`.

    Call arguments, output and errors: those of `Search`. With a width of one, the search is greedy.

    Example:
        >>> hypotheses = BeamSearch(model, width=5, count=3, length_penalty=1.0)(source)

    Source: Sutskever et al. 2014, section 3.2.
    """

    def __init__(self, model, width=5, lookahead=10, **options):
        super().__init__(model, width, **options)
        require_count(lookahead=lookahead)
        self.lookahead = lookahead

    def beginnings(self, batch, width):
        # At first all are the same; one of them is enough.
        return tf.tile(tf.range(width)[None] == 0, [batch, 1])

    def reach(self, time, limits):
        return limits if self.lookahead is None else tf.minimum(limits, time + self.lookahead)

    def continued(self, totals, logits, random):
        return best_continuations(totals, in_blocks(logits))

    def chosen(self, totals, logits, blocks, time, kept):
        # To take away what the constraints forbid is a pass over all logits, and it is hardly ever among the best.
        parents, tokens = best_continuations(totals, blocks)
        possible = tf.gather(totals, parents, batch_dims=1) > NEVER
        return tf.cond(
            self.constraints.hold(tokens, possible, time, kept.prefix),
            lambda: (parents, tokens, logits_of(tokens, logits, parents)),
            lambda: super(BeamSearch, self).chosen(totals, logits, blocks, time, kept),
        )
