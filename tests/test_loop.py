import numpy as np
import pytest

tf = pytest.importorskip("tensorflow")

from models import SpellingModel

from keras_attn import BeamSearch, GreedyDecoder
from keras_attn.decoding.loop import while_sentences_last


class CountingModel(SpellingModel):
    """Tells for how many targets it was asked at each step."""

    def __init__(self):
        self.asked = []

    def step(self, tokens, state, memory):
        def count(targets):
            self.asked.append(int(targets))
            return np.int32(0)

        with tf.control_dependencies([tf.numpy_function(count, [tf.shape(tokens)[0]], tf.int32)]):
            return super().step(tf.identity(tokens), state, memory)


def one_long_and_many_short(many=15, long=20):
    source = np.zeros((many + 1, long), "int32")
    source[:, 0] = 7
    source[many // 2] = np.arange(4, 4 + long) % 20 + 4
    return source


@pytest.mark.parametrize("search, width", [(GreedyDecoder, 1), (BeamSearch, 3)])
def test_sentences_that_have_ended_cost_nothing_more(search, width):
    model = CountingModel()
    found = (GreedyDecoder(model) if width == 1 else BeamSearch(model, width=width))(one_long_and_many_short())
    targets = found.tokens.numpy()[:, 0]
    assert (targets[7] > 0).sum() == 21 and (np.delete(targets, 7, 0) > 0).sum() == 15 * 2
    # All sixteen write their letter and the end, then only the long one goes on.
    assert model.asked[:2] == [16 * width] * 2 and set(model.asked[3:]) == {width}
    assert sum(model.asked) < 0.25 * len(model.asked) * 16 * width


def test_each_sentence_keeps_its_place_whenever_it_ends():
    lasts = np.array([3, 1, 4, 1, 5, 9, 2, 6], "int32")

    def step(time, rows, kept, written):
        return kept, tf.tensor_scatter_nd_add(written, rows[:, None], tf.ones_like(rows)), kept

    def unfinished(time, rows, kept, written):
        return time < tf.gather(lasts, rows)

    outputs = tf.TensorSpec([None], tf.int32)
    asked, seen = while_sentences_last(step, unfinished, tf.range(8) + 100, tf.zeros([8], tf.int32), outputs)
    assert seen.shape == (9, 8)
    for place, last in enumerate(lasts):
        steps = int(asked[place])  # the last ones may be too many: it leaves when half of the batch does
        assert last <= steps < 2 * last + 2
        np.testing.assert_array_equal(seen[:, place], [place + 100] * steps + [0] * (9 - steps))
