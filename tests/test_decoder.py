import keras
import numpy as np
import pytest
from helpers import disturb_weights, gru_step, numbers, softmax, step_by_step

from keras_attn.layers import Attention, Decoder, RecurrentStack, TokenEmbedding

TARGET = np.array([[2, 5, 6, 7], [2, 8, 0, 0]], "int32")
MASK = np.array([[1, 1, 1], [1, 0, 0]], bool)
WIRINGS = {
    "luong": {},
    "luong with input feeding": {"input_feeding": True},
    "bahdanau": {"wiring": "bahdanau"},
    "gnmt": {"wiring": "gnmt"},
    "none": {"wiring": "none", "attention": None},
}
READING_OUT = ["luong", "luong with input feeding", "bahdanau"]
WITH_ATTENTION = [name for name in WIRINGS if name != "none"]


def make_decoder(attention="general", embedding_units=5, tied=False, stack=None, **options):
    stack = RecurrentStack(4, **(stack or {}))
    attention = Attention(attention) if isinstance(attention, str) else attention
    return Decoder(TokenEmbedding(12, embedding_units, tied=tied), stack, attention, **options)


def built_with_inputs(rng, values=None, **options):
    """A decoder with all its weights away from zero, its first state and a memory of two sentences."""
    decoder = make_decoder(**options)
    values = rng.normal(size=(2, 3, 6)).astype("float32") if values is None else values
    decoder.build((None, None), (None, None, 6))
    disturb_weights(decoder, rng)
    memory = decoder.remember(values, MASK)
    recurrent = [[rng.normal(size=(2, 4)).astype("float32") for _ in layer] for layer in decoder.stack.state_shape]
    return decoder, decoder.first_state(recurrent, memory), memory


class InNumpy:
    """The equations of the papers for one sentence, with a decoder's weights, score `qᵀ W k` and GRU cells."""

    def __init__(self, decoder, values):
        self.values = values
        self.cells = [layer.get_weights() for layer in decoder.stack.recurrent]
        self.keys = values @ numbers(decoder.attention.score.projection.kernel) if decoder.attention else None
        self.tanh_layer = decoder.attentional and decoder.attentional.get_weights()
        self.output_units = decoder.output_units
        self.embeddings = numbers(decoder.embedding.table.embeddings)
        if decoder.logits:
            self.softmax_layer = decoder.logits.get_weights()
        else:
            self.softmax_layer = self.embeddings.T, numbers(decoder.embedding.bias)
            self.embeddings = self.embeddings * self.embeddings.shape[1] ** 0.5

    def look(self, query):
        self.weights = softmax(self.keys @ query)
        return self.weights @ self.values

    def read_out(self, *parts):
        kernel, bias = self.tanh_layer
        return np.tanh(np.hstack(parts) @ kernel + bias)

    def luong(self, x, states, previous):
        """Luong et al. 2015, equation 5."""
        hidden = gru_step(x, states[0], self.cells[0])
        return self.read_out(hidden, self.look(hidden)), [hidden]

    def luong_with_input_feeding(self, x, states, previous):
        """Luong et al. 2015, section 3.3."""
        return self.luong(np.hstack([x, previous]), states, previous)

    def bahdanau(self, x, states, previous):
        """Bahdanau et al. 2015, equations 4 to 6."""
        context = self.look(states[0])
        hidden = gru_step(np.hstack([x, context]), states[0], self.cells[0])
        return self.read_out(hidden, context, x), [hidden]

    def gnmt(self, x, states, previous):
        """Wu et al. 2016, figure 1: two layers that both read the context, and a residual connection."""
        context = self.look(states[0])
        bottom = gru_step(np.hstack([x, context]), states[0], self.cells[0])
        top = gru_step(np.hstack([bottom, context]), states[1], self.cells[1])
        return top + bottom, [bottom, top]

    def none(self, x, states, previous):
        """Sutskever et al. 2014."""
        hidden = gru_step(x, states[0], self.cells[0])
        return hidden, [hidden]

    def logits(self, wiring, tokens, states):
        step, output, outputs = getattr(self, wiring.replace(" ", "_")), np.zeros(self.output_units), []
        kernel, bias = self.softmax_layer
        for token in tokens:
            output, states = step(self.embeddings[token], states, output)
            outputs.append(output @ kernel + bias)
        return np.array(outputs)


@pytest.mark.parametrize("wiring, tied", [(name, False) for name in WIRINGS] + [(name, True) for name in READING_OUT])
def test_each_wiring_equals_numpy(rng, wiring, tied):
    two_layers = {"layers": 2, "residual": True} if wiring == "gnmt" else {}
    values = rng.normal(size=(2, 3, 6)).astype("float32")
    decoder, state, memory = built_with_inputs(rng, values, tied=tied, stack=two_layers, **WIRINGS[wiring])
    logits, weights = decoder(TARGET, state, memory)
    assert logits.shape == (2, 4, 12) and weights.shape == (2, 4, 3)
    for row, source_length in enumerate(MASK.sum(1)):
        expected = InNumpy(decoder, values[row, :source_length])
        states = [layer[0][row] for layer in state["recurrent"]]
        np.testing.assert_allclose(numbers(logits)[row], expected.logits(wiring, TARGET[row], states), atol=1e-5)
        last_weights = np.zeros(3)
        if wiring != "none":
            last_weights[:source_length] = expected.weights
        np.testing.assert_allclose(numbers(weights)[row, -1], last_weights, atol=1e-6)


@pytest.mark.parametrize("cell", ["gru", "lstm"])
@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("wiring", WIRINGS)
def test_the_whole_target_at_once_equals_step_by_step(rng, cell, layers, wiring):
    options = {"stack": {"layers": layers, "cell": cell, "dropout": 0.5}, "dropout": 0.5, **WIRINGS[wiring]}
    decoder, state, memory = built_with_inputs(rng, **options)
    logits, weights = decoder(TARGET, state, memory)
    step_logits, step_weights = step_by_step(decoder, TARGET, state, memory)
    np.testing.assert_allclose(step_logits, numbers(logits), atol=1e-5)
    np.testing.assert_allclose(step_weights, numbers(weights), atol=1e-6)


@pytest.mark.parametrize("wiring", WITH_ATTENTION)
def test_what_asks_gives_the_weights_of_the_step(rng, wiring):
    decoder, state, memory = built_with_inputs(rng, stack={"layers": 2}, **WIRINGS[wiring])
    for tokens in TARGET.T[:2]:
        query = decoder.query(tokens, state)
        _, weights = decoder.attention(query, memory.values, memory.mask, memory.keys)
        _, state, step_weights = decoder.step(tokens, state, memory)
        np.testing.assert_allclose(numbers(weights), numbers(step_weights), atol=1e-6)


@pytest.mark.parametrize("wiring", ["luong", "bahdanau"])
def test_the_weights_are_the_mean_over_the_heads(rng, wiring):
    decoder, state, memory = built_with_inputs(rng, attention=Attention("scaled-dot", heads=2), **WIRINGS[wiring])
    query = decoder.query(TARGET[:, 0], state)
    _, weights = decoder.attention(query, memory.values, memory.mask, memory.keys)
    assert weights.shape == (2, 2, 3)
    np.testing.assert_allclose(
        numbers(decoder.step(TARGET[:, 0], state, memory)[2]), numbers(weights).mean(1), atol=1e-6
    )


def test_without_attention_the_weights_are_zero(rng):
    decoder, state, memory = built_with_inputs(rng, **WIRINGS["none"])
    np.testing.assert_array_equal(numbers(decoder(TARGET, state, memory)[1]), np.zeros((2, 4, 3)))
    np.testing.assert_array_equal(numbers(decoder.step(TARGET[:, 0], state, memory)[2]), np.zeros((2, 3)))


@pytest.mark.parametrize("wiring", WITH_ATTENTION)
def test_padding_of_the_source_changes_nothing(rng, wiring):
    values = rng.normal(size=(2, 3, 6)).astype("float32")
    decoder, state, memory = built_with_inputs(rng, values, **WIRINGS[wiring])
    logits, weights = decoder(TARGET, state, memory)
    longer = decoder.remember(np.pad(values, [(0, 0), (0, 2), (0, 0)]), np.pad(MASK, [(0, 0), (0, 2)]))
    longer_logits, longer_weights = decoder(TARGET, decoder.first_state(state["recurrent"], longer), longer)
    np.testing.assert_allclose(numbers(longer_logits), numbers(logits), atol=1e-6)
    np.testing.assert_allclose(numbers(longer_weights)[..., :3], numbers(weights), atol=1e-6)


@pytest.mark.parametrize("wiring", WIRINGS)
def test_a_target_position_sees_nothing_after_it(rng, wiring):
    decoder, state, memory = built_with_inputs(rng, **WIRINGS[wiring])
    changed = TARGET.copy()
    changed[:, 2:] = 9
    before, after = decoder(TARGET, state, memory)[0], decoder(changed, state, memory)[0]
    np.testing.assert_array_equal(numbers(before)[:, :2], numbers(after)[:, :2])
    assert not np.allclose(numbers(before)[:, 2:], numbers(after)[:, 2:])


DROPOUTS = {
    "attentional vector": lambda: {"dropout": 0.4},
    "input": lambda: {"stack": {"dropout": 0.4}},
    "state": lambda: {"stack": {"recurrent_dropout": 0.4}},
    "attention": lambda: {"attention": Attention("general", dropout=0.4)},
}


@pytest.mark.parametrize("where", DROPOUTS)
@pytest.mark.parametrize("wiring", ["luong", "luong with input feeding"])
def test_each_dropout_is_on_in_training_alone(rng, wiring, where):
    decoder, state, memory = built_with_inputs(rng, **DROPOUTS[where](), **WIRINGS[wiring])
    once, twice = (numbers(decoder(TARGET, state, memory, training=True)[0]) for _ in range(2))
    assert not np.allclose(once, twice)
    once, twice = (numbers(decoder(TARGET, state, memory)[0]) for _ in range(2))
    np.testing.assert_array_equal(once, twice)


def test_a_tied_embedding_is_the_matrix_of_the_logits(rng):
    decoder, state, memory = built_with_inputs(rng, embedding_units=4, tied=True)
    assert decoder.logits is None
    before = numbers(decoder(TARGET, state, memory)[0])
    table = decoder.embedding.table.embeddings
    table.assign(np.where(np.arange(12)[:, None] == 10, 0, numbers(table)))  # an id that no target holds
    after = numbers(decoder(TARGET, state, memory)[0])
    np.testing.assert_allclose(after[..., 10], numbers(decoder.embedding.bias)[10], rtol=1e-5)
    np.testing.assert_array_equal(np.delete(after, 10, -1), np.delete(before, 10, -1))


@pytest.mark.parametrize("vocabulary_size", [12, 5_000])
def test_the_matrix_of_the_logits_begins_as_large_for_many_tokens_as_for_few(vocabulary_size):
    decoder = Decoder(TokenEmbedding(vocabulary_size, 50), RecurrentStack(200), Attention("dot"))
    decoder.build((None, None), (None, None, 200))
    np.testing.assert_allclose(numbers(decoder.logits.kernel).std(), (2 / 200) ** 0.5, rtol=0.05)


@pytest.mark.parametrize("tied", [False, True])
def test_logits_are_the_same_where_products_may_round(rng, monkeypatch, tied):
    decoder, state, memory = built_with_inputs(rng, tied=tied)
    expected = [numbers(decoder(TARGET, state, memory)[0]), numbers(decoder.step(TARGET[:, 0], state, memory)[0])]
    monkeypatch.setattr("keras_attn.products.may_round", lambda: True)
    found = [numbers(decoder(TARGET, state, memory)[0]), numbers(decoder.step(TARGET[:, 0], state, memory)[0])]
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"wiring": "luongs"}, "'luongs'.*luong, bahdanau, gnmt, none"),
        ({"wiring": "none"}, "wiring='none' has no attention"),
        ({"attention": None}, "wiring='luong' needs an attention"),
        ({"wiring": "bahdanau", "input_feeding": True}, "input_feeding.*'bahdanau'"),
        ({"wiring": "none", "attention": None, "input_feeding": True}, "input_feeding.*'none'"),
        ({"wiring": "gnmt", "tied": True}, "5 units and the decoder 4"),
    ],
)
def test_parts_that_do_not_go_together_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        make_decoder(**options)


@pytest.mark.parametrize("wiring", WIRINGS)
def test_the_configuration_makes_the_same_layer(wiring):
    stack = {"layers": 2, "cell": "lstm", "dropout": 0.2, "recurrent_dropout": 0.1}
    decoder = make_decoder(stack=stack, dropout=0.3, **WIRINGS[wiring])
    again = keras.layers.deserialize(keras.layers.serialize(decoder))
    assert again.get_config() == decoder.get_config()
