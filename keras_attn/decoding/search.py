"""The loop that beam search and sampling share: several targets side by side for each source."""

import copy
import inspect
import math
from typing import Any, NamedTuple

import tensorflow as tf

from keras_attn.decoding.constraints import Constraints
from keras_attn.decoding.hypotheses import length_limits
from keras_attn.decoding.loop import while_sentences_last
from keras_attn.decoding.shortlist import written_by
from keras_attn.decoding.targets import NEVER, Ended, as_hypotheses, best_so_far, no_targets, of_parents, written_on
from keras_attn.decoding.tokens import at_least_one_column
from keras_attn.errors import InputError, require_count
from keras_attn.ids import END, PADDING, START
from keras_attn.kernels.blocks import in_blocks, most_probable, sizes


class Search:
    """Writes `width` targets at a time for each source; how one is continued is up to the search.

    Those that end (with the end token, or at the limit of their sentence) are ranked by

        score = log-probability / length penalty + coverage penalty

    and the best `count` of them are returned. A sentence leaves the batch when none of its targets can still be among
    these, as far ahead as the search looks, and the compute ends with the last of them.

    Args:
        model: anything with `encode` and `step`, see `GreedyDecoder`.
        width: targets that are written side by side.
        count: hypotheses to return for each sentence, from 1 to `width`.
        length_penalty: `α` of `((5 + length) / 6)^α`, from 0, which favours short targets, upwards; or `"average"`, the
            length itself, so that the score is the mean log-probability of a token. The end token counts.
        coverage_penalty: `β` of `β Σ log(min(Σ weights, 1))` over the source positions: how little was looked at.
        max_length, shortlist: see `GreedyDecoder`.
        **constraints: of `Constraints`.

    Call arguments:
        source: int `(batch, source_length)`, padded with 0 on the right.
        prefix: optional int `(batch, prefix_length)`, the tokens that each target begins with, padded with 0. (The target of
            an empty source is empty all the same.)

    Output:
        `Hypotheses`, the best first. A sentence without one (its constraints left no token to write) has an empty target.

    Raises:
        InputError: a number is out of its range, the search has no such option, an id is of no token, or the shortlist is
            for another model.

    Source: Wu et al. 2016 (arXiv 1609.08144), equation 14 (the penalties).
    """

    def __init__(
        self,
        model,
        width,
        count=1,
        length_penalty=0.0,
        coverage_penalty=0.0,
        max_length=256,
        shortlist=None,
        **constraints,
    ):
        if unknown := constraints.keys() - inspect.signature(Constraints).parameters.keys():
            raise InputError(
                f"{type(self).__name__} has no option {min(unknown)}; help({type(self).__name__}) lists them."
            )
        self.constraints = Constraints(**constraints)
        min_length = self.constraints.min_length
        _refuse_what_is_out_of_range(width, count, length_penalty, coverage_penalty, max_length, min_length)
        if not getattr(model, "built", True):
            model.build()
        _refuse_ids_of_no_token("forbidden", self.constraints.forbidden, model)
        self.model = model
        self.width = width
        self.count = count
        self.length_penalty = length_penalty
        self.coverage_penalty = coverage_penalty
        self.max_length = max_length
        self.shortlist = shortlist and shortlist.for_model(model)

    def __call__(self, source, prefix=None):
        source = tf.cast(source, tf.int32)
        if prefix is None:
            prefix = tf.zeros([tf.shape(source)[0], 0], tf.int32)
        prefix = tf.cast(prefix, tf.int32)
        if None not in (rows := (source.shape[0], prefix.shape[0])) and rows[0] != rows[1]:
            raise InputError(f"There are {rows[0]} sources and {rows[1]} prefixes; there must be one for each.")
        if tf.executing_eagerly():
            _refuse_ids_of_no_token("prefix", prefix.numpy().flat, self.model)
        alpha = 0.0 if self.length_penalty == "average" else self.length_penalty
        return self.search(source, prefix, self.width, self.count, alpha)

    def beginnings(self, batch, width):
        """Which of the places of each sentence are written to from the start: boolean `(batch, width)`."""
        raise NotImplementedError

    def continued(self, totals, logits, random):
        """How the targets are continued by one token.

        Args:
            totals: float32 `(batch, width)`, what makes log-probabilities of continued targets when logits are added;
                `-inf` where there is no target.
            logits: float32 `(batch, width, vocabulary_size)`, of the next token; `-inf` where the constraints do not
                let it.
            random: what `random_numbers` gave for this step: float32 `(batch, width)`, or nothing.

        Returns:
            `parents`, int32 `(batch, width)`, which of the targets goes on in each place; and `tokens`, int32
            `(batch, width)`, with which token.
        """
        raise NotImplementedError

    def chosen(self, totals, logits, blocks, time, kept):
        """How the targets are continued so that the constraints hold.

        Args:
            totals: as `continued` gets it.
            logits: `(batch, width, vocabulary_size)` of any type, of the next token.
            blocks: the same, see `in_blocks`.
            time: how many tokens there are.
            kept: `_Kept`.

        Returns:
            `parents` and `tokens`, as `continued` returns them, and the tokens' logits, float32 `(batch, width)`, `-inf`
            where the constraints forbid all.
        """
        allowed = self.constraints.allowed(tf.cast(logits, tf.float32), kept.beam.tokens, time, kept.prefix)
        random = tf.nest.map_structure(lambda numbers: numbers[:, time], kept.random)
        parents, tokens = self.continued(totals, allowed, random)
        return parents, tokens, logits_of(tokens, allowed, parents)

    def reach(self, time, limits):
        """How long the targets that are still being written are expected to become at most: int32 `(rows,)`.

        Args:
            time: how many tokens there are.
            limits: int32 `(rows,)`, see `length_limits`.
        """
        return limits

    def random_numbers(self, source, steps, width):
        """Numbers from 0 to 1 to draw by, which the sentence alone decides: float32 `(batch, steps, width)`."""
        return ()

    @tf.function(
        input_signature=[
            tf.TensorSpec([None, None], tf.int32),
            tf.TensorSpec([None, None], tf.int32),
            tf.TensorSpec([], tf.int32),
            tf.TensorSpec([], tf.int32),
            tf.TensorSpec([], tf.float32),
        ],
        autograph=False,
    )
    def search(self, source, prefix, width, count, length_penalty):
        """Searches as a call does, with three settings as tensors, so that an export can take them as inputs."""
        source = at_least_one_column(source)
        limits = length_limits(source, self.max_length)
        batch, source_length = tf.unstack(tf.shape(source))
        steps = tf.maximum(tf.reduce_max(limits), 1)  # one at least, even for an empty batch
        beam = no_targets(batch, width, steps)
        alive = self.beginnings(batch, width) & (limits[:, None] > 0)
        writer = written_by(self.model, self.shortlist, source, prefix)
        narrowed = self._over(writer)
        memory, state = tf.nest.map_structure(lambda tensor: _side_by_side(tensor, width), writer.encode(source))
        kept = _Kept(
            limits=limits,
            mask=source != PADDING,
            prefix=writer.places_of(prefix),
            random=self.random_numbers(source, steps, width),
            last=tf.fill([batch, width], START),
            beam=beam._replace(total=tf.where(alive, 0.0, NEVER)),
            coverage=tf.zeros([batch, width, source_length]) if self.coverage_penalty else (),
            state=state,
            memory=memory,
        )
        ended = Ended(no_targets(batch, count, steps), tf.fill([batch, count], NEVER))

        def unfinished(time, rows, kept, ended):
            worst = tf.reduce_min(tf.gather(ended.score, rows), axis=1)
            return (time < steps) & (self._bound(time, kept, length_penalty) > worst)

        def step(time, rows, kept, ended):
            # A sentence that is done waits for others to be, and must find nothing meanwhile that it would not find alone.
            lasting = unfinished(time, rows, kept, ended)[:, None]
            beam = kept.beam._replace(total=tf.where(lasting, kept.beam.total, NEVER))
            kept, leaving, attended = narrowed._step(time, kept._replace(beam=beam), length_penalty)
            return kept, best_so_far(ended, rows, leaving), attended

        attended = tf.TensorSpec([None, None, None], tf.float32)
        found = as_hypotheses(*while_sentences_last(step, unfinished, kept, ended, attended))
        return found._replace(tokens=writer.ids_of(found.tokens))

    def _over(self, writer):
        """A copy of this search, over what a writer of `written_by` writes."""
        search = copy.copy(self)
        search.model, search.constraints = writer, self.constraints.by_place(writer.places_of)
        return search

    def _step(self, time, kept, length_penalty):
        """Continues the targets of the remaining sentences by one token.

        Returns:
            The new `_Kept`; `Ended`, the targets with a score where they have; where each place of the beam looked.
        """
        beam = kept.beam
        steps = self.model.step(*tf.nest.map_structure(_in_one_row, (kept.last, kept.state, kept.memory)))
        width = tf.shape(kept.last)[1]
        logits, state, attended = tf.nest.map_structure(lambda tensor: _apart(tensor, width), steps)
        attended = tf.cast(attended, tf.float32)
        logits = self.constraints.penalized(logits, beam.tokens)
        blocks = in_blocks(logits)
        best = most_probable(logits, blocks)  # the best logit, and its log-probability
        parents, tokens, chosen = self.chosen(beam.total + (best[1] - best[0]), logits, blocks, time, kept)
        best_logit, best_log_probability = of_parents(best, parents)
        log_probabilities = (chosen - best_logit) + best_log_probability
        beam = written_on(beam, parents, tokens, log_probabilities, time)
        coverage = tf.nest.map_structure(lambda so_far: of_parents(so_far + attended, parents), kept.coverage)
        ends = (beam.total > NEVER) & ((tokens == END) | (time + 1 >= kept.limits[:, None]))
        score = beam.total / self._penalty(time + 1, length_penalty) + self._coverage_score(coverage, kept.mask)
        leaving = Ended(beam, tf.where(ends, score, NEVER))
        beam = beam._replace(total=tf.where(ends, NEVER, beam.total))
        state = of_parents(state, parents)
        return kept._replace(last=tokens, beam=beam, coverage=coverage, state=state), leaving, attended

    def _bound(self, time, kept, length_penalty):
        """What no target that is still being written can exceed within its `reach`, as log-probabilities only fall:
        float32 `(rows,)`."""
        return tf.reduce_max(kept.beam.total, axis=1) / self._penalty(self.reach(time, kept.limits), length_penalty)

    def _penalty(self, length, length_penalty):
        length = tf.maximum(tf.cast(length, tf.float32), 1.0)
        return length if self.length_penalty == "average" else ((5 + length) / 6) ** length_penalty

    def _coverage_score(self, coverage, mask):
        """Zero or less: `(rows, width)`. Padding has no weight, but is not to be looked at either."""
        if not self.coverage_penalty:
            return 0.0
        covered = tf.where(mask[:, None], tf.clip_by_value(coverage, 1e-9, 1.0), 1.0)
        return self.coverage_penalty * tf.reduce_sum(tf.math.log(covered), axis=2)


class _Kept(NamedTuple):
    """What the next step needs of each sentence that is still there, see `while_sentences_last`."""

    limits: Any
    mask: Any
    prefix: Any
    random: Any  # or nothing where nothing is drawn
    last: Any
    beam: Any
    coverage: Any  # the sum of the attention weights so far, or nothing where nothing is asked of it
    state: Any
    memory: Any


def logits_of(tokens, logits, parents):
    """The logits, in float32, of the tokens `(batch, width)` that continue the parents `(batch, width)`."""
    batch, width, vocabulary_size = sizes(logits)
    side_by_side = tf.reshape(logits, [batch, width * vocabulary_size])
    return tf.cast(tf.gather(side_by_side, parents * vocabulary_size + tokens, batch_dims=1), tf.float32)


def _side_by_side(tensor, width):
    """`(batch, ...)` to `(batch, width, ...)`, the same for each place of the beam."""
    return tf.repeat(tensor[:, None], width, axis=1)


def _in_one_row(tensor):
    """`(rows, width, ...)` to `(rows * width, ...)`."""
    return tf.reshape(tensor, [-1, *sizes(tensor)[2:]])


def _apart(tensor, width):
    """`(rows * width, ...)` to `(rows, width, ...)`."""
    return tf.reshape(tensor, [-1, width, *sizes(tensor)[1:]])


def _refuse_ids_of_no_token(name, ids, model):
    if not hasattr(model, "get_config"):
        return  # nothing but the search itself will say how many tokens there are
    size = model.get_config()["target_vocabulary_size"]
    for token in ids:
        if not 0 <= token < size:
            raise InputError(f"{name} holds {token}, but the target has the ids 0 to {size - 1}.")


def _refuse_what_is_out_of_range(width, count, length_penalty, coverage_penalty, max_length, min_length):
    require_count(count=count, width=width, max_length=max_length)
    if min_length > max_length:
        raise InputError(f"min_length is {min_length}, but max_length {max_length}; make it no more than that.")
    if count > width:
        raise InputError(f"count is {count}, but a beam of width {width} finds no more than that; widen it.")
    if length_penalty != "average" and (isinstance(length_penalty, str) or not 0 <= length_penalty < math.inf):
        raise InputError(f"length_penalty is {length_penalty!r}, but it must be 0 or more, or 'average'.")
    if not 0 <= coverage_penalty < math.inf:
        raise InputError(f"coverage_penalty is {coverage_penalty}, but it must be 0 or more.")
