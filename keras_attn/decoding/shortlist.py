"""A shortlist: the few tokens that a translation can be made of, so that a step need not look at all of them."""

import itertools

import tensorflow as tf

from keras_attn.decoding.tokens import held
from keras_attn.errors import InputError
from keras_attn.ids import PADDING, SPECIAL_TOKENS


class Shortlist:
    """Which target tokens can come up in the translation of a source: the special ones, and what its tokens can become.

    A search over a shortlist finds what it would find if all other tokens had a probability of zero, and its
    log-probabilities are among those that are left. What a sentence gets does not depend on what is beside it.

    Args:
        candidates: for each source id a list of target ids. Those of the end token, which is part of every source, are
            possible in every target; those of padding count for nothing.
        target_vocabulary_size: how many target ids there are.

    Raises:
        InputError: a candidate is no target id.

    Source: Jean et al. 2015 (arXiv 1412.2007), section 3.2.
    """

    def __init__(self, candidates, target_vocabulary_size):
        self.candidates = [list(ids) if source_id != PADDING else [] for source_id, ids in enumerate(candidates)]
        self.target_vocabulary_size = target_vocabulary_size
        for source_id, ids in enumerate(self.candidates):
            if ids and not 0 <= min(ids) <= max(ids) < target_vocabulary_size:
                raise InputError(
                    f"The candidates of source id {source_id} go from {min(ids)} to {max(ids)}, but target ids go from 0 "
                    f"to {target_vocabulary_size - 1}; leave the others out."
                )
        # Made here, they are no part of the graph, which TensorFlow copies again and again.
        self._flat = tf.constant([*itertools.chain.from_iterable(self.candidates)], tf.int32)
        self._ends = tf.constant([0, *itertools.accumulate(map(len, self.candidates))])

    def for_model(self, model):
        """This shortlist, if it has the vocabularies of the model.

        Raises:
            InputError: it has others.
        """
        sizes = model.get_config()
        sizes = sizes["source_vocabulary_size"], sizes["target_vocabulary_size"]
        if sizes != (len(self.candidates), self.target_vocabulary_size):
            raise InputError(
                f"The shortlist is for {len(self.candidates)} source ids and {self.target_vocabulary_size} target ids, but "
                f"the model has {sizes[0]} and {sizes[1]}; learn one with the text processors of this model."
            )
        return self

    def of(self, source, prefix):
        """What is possible in the targets of some sentences.

        Args:
            source: int `(batch, source_length)`.
            prefix: int `(batch, prefix_length)`, the tokens that each target begins with.

        Returns:
            `ids`, int32 `(places,)`, those that are possible in any of the sentences, the special ones first; `place`,
            int32 `(target_vocabulary_size,)`, where each id is among these, and -1 where it is not; and `possible`, boolean
            `(batch, places)`, which of them are in each sentence.
        """
        by_source_id = tf.RaggedTensor.from_row_splits(self._flat, self._ends, validate=False)
        candidates = tf.gather(by_source_id, source).merge_dims(1, 2).to_tensor()
        candidates = tf.concat([candidates, prefix], axis=1)
        in_any = held(tf.reshape(candidates, [-1]), self.target_vocabulary_size)
        in_any |= tf.range(self.target_vocabulary_size) < len(SPECIAL_TOKENS)
        ids = tf.cast(tf.where(in_any)[:, 0], tf.int32)
        nowhere = tf.fill([self.target_vocabulary_size], -1)
        place = tf.tensor_scatter_nd_update(nowhere, ids[:, None], tf.range(tf.size(ids)))
        possible = held(tf.gather(place, candidates), tf.size(ids)) | (tf.range(tf.size(ids)) < len(SPECIAL_TOKENS))
        return ids, place, possible


def written_by(model, shortlist, source, prefix):
    """The model as a search over these sources sees it: `encode` and `step`, and what its tokens are.

    Args:
        model: anything with `encode` and `step`, see `GreedyDecoder`; with a shortlist, also with `output_projection`.
        shortlist: `Shortlist`, or `None`.
        source: int `(batch, source_length)`.
        prefix: int `(batch, prefix_length)`, the tokens that each target begins with.
    """
    return _Whole(model) if shortlist is None else _Narrowed(model, shortlist, source, prefix)


class _Whole:
    """All tokens, by their ids."""

    def __init__(self, model):
        self.encode, self.step = model.encode, model.step

    def places_of(self, ids):
        return ids

    def ids_of(self, places):
        return places


class _Narrowed:
    """The tokens that are possible in any sentence of a batch, by their places among these.

    The special tokens come first, and so are in the places of their ids. What the softmax needs of its matrix is put
    together once, ahead of all steps.
    """

    def __init__(self, model, shortlist, source, prefix):
        self._model = model
        self._ids, self._place, possible = shortlist.of(source, prefix)
        self._logit_mask = tf.where(possible, 0.0, float("-inf"))
        self._projection = model.output_projection(self._ids)

    def encode(self, source):
        memory, state = self._model.encode(source)
        return (memory, self._logit_mask), state

    def step(self, tokens, state, memory):
        memory, logit_mask = memory
        # What other sentences of the batch can have must not come up in this one.
        return self._model.step(self.ids_of(tokens), state, memory, self._projection, logit_mask)

    def places_of(self, ids):
        return tf.gather(self._place, ids)

    def ids_of(self, places):
        return tf.gather(self._ids, places)
