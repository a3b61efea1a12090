"""A training run from beginning to end, and what it is made of.

`run` is the whole; `preparing` reads the pairs, `building` makes the model, `checkpoint` and `monitoring` hold the
callbacks, `measuring` and `reporting` say how good it became, `folder` knows what lies where, and `comparing` does all of
it for several models.
"""

from keras_attn.training.monitoring import DecodedQuality
from keras_attn.training.run import train

__all__ = ["DecodedQuality", "train"]
