"""Several models as one, for any search."""

import math

import tensorflow as tf

from keras_attn.decoding.tokens import log_probabilities_of
from keras_attn.errors import InputError


class Ensemble:
    """Models that have learned the same vocabularies, and write each token together.

    Args:
        models: `AttentionSeq2Seq`s, such as those of several seeds or of several epochs of one run.
        average: `"probabilities"`, their mean; or `"logarithms"`, the mean of their logarithms, which wants all models
            to agree.

    Raises:
        InputError: there is no model, the models' vocabularies differ in size, or the average is unknown.

    Source: Sutskever et al. 2014, section 3.6.
    """

    def __init__(self, models, average="probabilities"):
        self.models = list(models)
        if not self.models:
            raise InputError("An ensemble needs one model at least, but none is given.")
        if average not in ("probabilities", "logarithms"):
            raise InputError(f"average is {average!r}, but only 'probabilities' and 'logarithms' are known.")
        self.average = average
        self._refuse_other_vocabularies()
        for model in self.models:
            if not getattr(model, "built", True):
                model.build()

    @property
    def variables(self):
        """The variables of all models."""
        return [variable for model in self.models for variable in model.variables]

    def get_config(self):
        """What the models have in common: the sizes of their vocabularies."""
        config = self.models[0].get_config()
        return {f"{side}_vocabulary_size": config[f"{side}_vocabulary_size"] for side in ("source", "target")}

    def encode(self, source):
        """As `AttentionSeq2Seq.encode`, with a memory and a state of each model."""
        memories, states = zip(*(model.encode(source) for model in self.models))
        return memories, states

    def output_projection(self, ids):
        """As `AttentionSeq2Seq.output_projection`, of each model."""
        return [model.output_projection(ids) for model in self.models]

    def step(self, tokens, state, memory, projection=None, logit_mask=0.0):
        """As `AttentionSeq2Seq.step`; the logits are averaged log-probabilities, the weights the models' mean."""
        projection = projection or [None] * len(self.models)
        steps = [model.step(tokens, *each, logit_mask) for model, *each in zip(self.models, state, memory, projection)]
        logits, states, weights = zip(*steps)
        return self._together(logits), states, _mean(weights)

    def teacher_forced(self, inputs):
        """As `AttentionSeq2Seq.teacher_forced`, averaged as in `step`."""
        logits, weights = zip(*(model.teacher_forced(inputs) for model in self.models))
        return self._together(logits), _mean(weights)

    def _together(self, logits):
        """The average of the models' log-probabilities."""
        log_probabilities = tf.stack([log_probabilities_of(each) for each in logits])
        if self.average == "probabilities":
            return tf.reduce_logsumexp(log_probabilities, axis=0) - math.log(len(self.models))
        return tf.reduce_mean(log_probabilities, axis=0)

    def _refuse_other_vocabularies(self):
        first = self.get_config()
        for number, model in enumerate(self.models[1:], 2):
            config = model.get_config()
            for name, size in first.items():
                if config[name] != size:
                    raise InputError(
                        f"The models of an ensemble share their vocabularies, but {name} is {size} in model 1 and "
                        f"{config[name]} in model {number}; take models that were trained on the same text processors."
                    )


def _mean(weights):
    """The mean of the models' attention weights, each in its own precision, in float32."""
    return tf.reduce_mean(tf.stack([tf.cast(each, tf.float32) for each in weights]), axis=0)
