import keras
import numpy as np
import pytest
from helpers import numbers, softmax
from test_attention import MASK, assert_same, attention_of

from keras_attn import Attention
from keras_attn.layers.scores import SCORES

CONTENT_BASED = [name for name in SCORES if name != "location"]


def head_kernels(attention):
    """The matrices to queries, keys, values and back to the context."""
    split = attention.split
    return [numbers(layer.kernel) for layer in (split.to_queries, split.to_keys, split.to_values, split.to_context)]


@pytest.mark.parametrize("heads", [2, 3])
@pytest.mark.parametrize("memory_units", [6, 10])
def test_several_heads_equal_the_multi_head_attention_of_keras(rng, query, heads, memory_units):
    values = rng.normal(size=(2, 4, memory_units)).astype("float32")
    attention = Attention("scaled-dot", heads=heads)
    ours = attention(query, values, mask=MASK)
    layer = keras.layers.MultiHeadAttention(heads, 6 // heads, use_bias=False)
    layer.build(query.shape, values.shape)
    layer.set_weights([matrix.reshape(shape.shape) for matrix, shape in zip(attention.get_weights(), layer.weights)])
    assert_same(ours, layer(query, values, attention_mask=MASK[:, None], return_attention_scores=True))


@pytest.mark.parametrize("score", CONTENT_BASED)
def test_each_head_attends_in_its_own_part_of_the_projections(score, query, values):
    attention = Attention(score, heads=2)
    context, weights = attention(query, values)
    to_query, to_keys, to_values, to_context = head_kernels(attention)
    expected, parts = [], []
    for part in (slice(0, 3), slice(3, 6)):
        keys = attention.score.project((values @ to_keys)[..., part])
        expected.append(softmax(numbers(attention.score((query @ to_query)[..., part], keys))))
        parts.append(expected[-1] @ (values @ to_values)[..., part])
    assert_same((context, weights), (np.concatenate(parts, -1) @ to_context, np.stack(expected, 1)))


@pytest.mark.parametrize("alignment", ["global", "local-m", "local-p"])
def test_one_step_with_several_heads_is_one_row_of_the_whole_target(alignment, query, values):
    attention = attention_of("additive", alignment, heads=2)
    contexts, weights = attention(query, values, mask=MASK)
    memory = attention.remember(values, MASK)
    history = {name: position + 1 for name, position in attention.first_history(memory).items()}
    found = attention(query[:, 1], memory.values, keys=memory.keys, mask=MASK, history=history)
    assert found[0].shape == (2, 6) and found[1].shape == (2, 2, 4)
    assert_same(found, (contexts[:, 1], weights[:, :, 1]))


@pytest.mark.parametrize("alignment", ["global", "local-m", "local-p"])
def test_with_several_heads_a_row_without_any_token_gets_zeros(alignment, query, values):
    context, weights = attention_of("additive", alignment, heads=2)(query, values, mask=np.zeros((2, 4), bool))
    assert not numbers(context).any() and not numbers(weights).any()


def test_several_heads_tell_their_shapes_before_they_compute():
    query, values = keras.Input((3, 6)), keras.Input((4, 10))
    context, weights = Attention("additive", heads=2)(query, values)
    assert context.shape == (None, 3, 6) and weights.shape == (None, 2, 3, 4)


def test_several_heads_tell_their_shapes_with_what_they_remember(query, values):
    attention = Attention("scaled-dot", heads=2)
    attention(query, values)
    inputs = keras.Input((3, 6)), keras.Input((2, 4, 3)), keras.Input((2, 4, 3))
    context, weights = attention(inputs[0], inputs[1], keys=inputs[2])
    assert context.shape == (None, 3, 6) and weights.shape == (None, 2, 3, 4)


def test_dropout_is_the_same_for_all_heads(query, values):
    attention = Attention("scaled-dot", heads=2, dropout=0.5)
    _, weights = attention(query, values)
    kept = [1, 2]  # a position for each row
    keep = 2 * np.eye(4, dtype="float32")[kept][:, None].repeat(3, 1)
    context, _ = attention(query, values, draws={"keep": keep}, training=True)
    _, _, to_values, to_context = head_kernels(attention)
    for row, position in enumerate(kept):
        by_head = 2 * numbers(weights)[row, ..., position, None] * (values[row, position] @ to_values).reshape(2, 1, 3)
        expected = np.concatenate(by_head, -1) @ to_context
        np.testing.assert_allclose(numbers(context)[row], expected, rtol=1e-4, atol=1e-5)
