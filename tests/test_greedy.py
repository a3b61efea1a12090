import numpy as np
import pytest
from helpers import numbers, random_ids, slow
from models import VARIANTS, SpellingModel, bold_model

tf = pytest.importorskip("tensorflow")

from keras_attn import GreedyDecoder, InputError
from keras_attn.ids import END, START


def greedy_in_python(model, source, limit):
    """One sentence, one step at a time."""
    memory, state = model.encode(source[None])
    token, tokens, total, rows = START, [], 0.0, []
    while token != END and len(tokens) < limit:
        logits, state, weights = model.step(np.array([token]), state, memory)
        logits = numbers(logits)[0].astype("float64")
        log_probabilities = logits - np.log(np.exp(logits).sum())
        logits[[0, START]] = -np.inf
        token = int(np.argmax(logits))
        tokens.append(token)
        rows.append(numbers(weights)[0])
        total += log_probabilities[token]
    return tokens, total, np.array(rows)


@pytest.fixture
def model():
    return bold_model()


def test_it_spells_what_the_model_spells():
    source = np.array([[9, 8, 7, 6], [5, 0, 0, 0], [4, 4, 0, 0]], "int32")
    found = GreedyDecoder(SpellingModel())(source)
    np.testing.assert_array_equal(found.tokens[:, 0], [[9, 8, 7, 6, 3], [5, 3, 0, 0, 0], [4, 4, 3, 0, 0]])
    np.testing.assert_array_equal(found.attention_weights[0, 0, :4], np.eye(4))
    assert (found.attention_weights.numpy()[1, 0, 2:] == 0).all()
    surprise = np.log(np.exp(10) / (np.exp(10) + 29))
    np.testing.assert_allclose(found.log_probabilities[:, 0], [5 * surprise, 2 * surprise, 3 * surprise], rtol=1e-4)


@pytest.mark.parametrize(
    "variant",
    ["luong", "bahdanau"]
    + [slow(name) for name in ("monotonic", "coverage", "input feeding", "gnmt", "none", "local")],
)
def test_it_equals_a_plain_loop_for_each_sentence_alone(rng, variant):
    model = bold_model(**VARIANTS[variant])
    source = random_ids(rng, 20, [5, 2, 7, 1])
    found = GreedyDecoder(model, max_length=12)(source)
    for row, length in enumerate([5, 2, 7, 1]):
        tokens, total, weights = greedy_in_python(model, source[row, :length], 12)
        np.testing.assert_array_equal(np.trim_zeros(found.tokens[row, 0].numpy(), "b"), tokens)
        np.testing.assert_allclose(found.log_probabilities[row, 0], total, rtol=1e-4)
        np.testing.assert_allclose(found.attention_weights[row, 0, : len(tokens), :length], weights, atol=1e-5)


def test_an_empty_source_has_an_empty_target_and_harms_no_neighbour(rng, model):
    source = random_ids(rng, 20, [4, 0])
    source[1, 0] = END
    found = GreedyDecoder(model)(source)
    assert (found.tokens.numpy()[1] == 0).all() and found.log_probabilities[1, 0] == 0
    alone = GreedyDecoder(model)(source[:1])
    np.testing.assert_array_equal(found.tokens[0], alone.tokens[0])


def test_a_sentence_that_never_ends_stops_at_its_own_limit():
    class Endless(SpellingModel):
        def step(self, tokens, state, memory):
            logits, state, weights = super().step(tokens, state, memory)
            return tf.one_hot(tf.fill(tf.shape(tokens), 9), 30), state, weights

    source = random_ids(np.random.default_rng(0), 20, [10, 2])
    lengths = lambda decoder: (decoder(source).tokens.numpy() > 0).sum(2)[:, 0].tolist()
    assert lengths(GreedyDecoder(Endless())) == [2 * 10 + 50, 2 * 2 + 50]
    assert lengths(GreedyDecoder(Endless(), max_length=6)) == [6, 6]


@pytest.mark.parametrize("shape", [(0, 3), slow((0, 0)), slow((2, 0))])
def test_a_batch_of_nothing_gives_nothing(model, shape):
    found = GreedyDecoder(model)(np.zeros(shape, "int32"))
    assert found.tokens.shape[0] == shape[0] and not found.tokens.numpy().any()


def test_one_trace_serves_all_batch_sizes_and_lengths(rng):
    traces = []

    class Counting(SpellingModel):
        def encode(self, source):
            traces.append(source)
            return super().encode(source)

    decoder = GreedyDecoder(Counting())
    for lengths in ([3], [1, 2], [9, 9, 9], [4]):
        decoder(random_ids(rng, 20, lengths))
    assert len(traces) == 1


def test_a_limit_below_one_is_refused(model):
    with pytest.raises(InputError, match="max_length is 0"):
        GreedyDecoder(model, max_length=0)
