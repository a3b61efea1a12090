import keras
import numpy as np
import pytest
from helpers import disturb_weights, gru_in_numpy, lstm_in_numpy, numbers

from keras_attn.layers import RecurrentStack
from keras_attn.layers.time import over_time

CELLS = {"gru": gru_in_numpy, "lstm": lstm_in_numpy}
LENGTHS = (5, 3, 1)
MASK = np.arange(5) < np.array(LENGTHS)[:, None]


def stack_with_inputs(rng, units=4, **options):
    """A stack with all its weights away from zero, and three inputs of five positions."""
    stack = RecurrentStack(units, **options)
    stack.build((None, None, 3))
    disturb_weights(stack, rng)
    return stack, rng.normal(size=(3, 5, 3)).astype("float32")


def normalize(vectors, norm):
    """Ba et al. 2016, equation 4, with the layer's own gain, bias and epsilon."""
    gain, bias = norm.get_weights()
    centered = vectors - vectors.mean(-1, keepdims=True)
    return gain * centered / np.sqrt(centered.var(-1, keepdims=True) + norm.epsilon) + bias


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("layer_normalization", [False, True])
def test_three_layers_equal_numpy(rng, cell, residual, layer_normalization):
    options = {"residual": residual, "layer_normalization": layer_normalization}
    stack, inputs = stack_with_inputs(rng, units=3, layers=3, cell=cell, **options)
    outputs, state = stack(inputs)
    expected = inputs[0]
    for index, layer in enumerate(stack.recurrent):
        hidden = CELLS[cell](expected, layer.get_weights())
        np.testing.assert_allclose(numbers(state[index][0])[0], hidden[-1], atol=1e-5)
        expected = hidden + expected if residual and index > 0 else hidden
        if layer_normalization:
            expected = normalize(expected, stack.norms[index])
    np.testing.assert_allclose(numbers(outputs)[0], expected, atol=1e-5)


def test_a_call_builds_it(rng):
    stack, inputs = stack_with_inputs(rng, layers=2, bidirectional=True)
    by_itself = RecurrentStack(4, layers=2, bidirectional=True)
    by_itself(inputs, mask=MASK)
    assert [weight.shape for weight in by_itself.weights] == [weight.shape for weight in stack.weights]


def test_residual_connections_are_left_out_where_the_sizes_differ(rng):
    stack, inputs = stack_with_inputs(rng, layers=2, bidirectional="first", residual=True)
    plain = RecurrentStack(4, layers=2, bidirectional="first")
    plain.build(inputs.shape)
    plain.set_weights(stack.get_weights())
    np.testing.assert_array_equal(numbers(stack(inputs)[0]), numbers(plain(inputs)[0]))


def in_the_order_of_torch(weights):
    """Keras has the gates of a GRU in the order update, reset, new."""
    update, reset, new = np.split(weights, 3, -1)
    return np.concatenate([reset, update, new], -1)


def put_into_torch(layer, torch_stack, index, reverse):
    """Gives a layer of PyTorch the weights of one of Keras."""
    import torch

    kernel, recurrent, bias = layer.get_weights()
    if isinstance(layer, keras.layers.GRU):
        kernel, recurrent, bias = map(in_the_order_of_torch, (kernel, recurrent, bias))
        bias, recurrent_bias = bias
    else:
        recurrent_bias = np.zeros_like(bias)
    suffix = f"l{index}" + "_reverse" * reverse
    weights = {"weight_ih": kernel.T, "weight_hh": recurrent.T, "bias_ih": bias, "bias_hh": recurrent_bias}
    with torch.no_grad():
        for name, weight in weights.items():
            getattr(torch_stack, f"{name}_{suffix}").copy_(torch.from_numpy(weight.copy()))


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_it_equals_pytorch_also_with_padding(rng, cell, layers, bidirectional):
    torch = pytest.importorskip("torch")
    stack, inputs = stack_with_inputs(rng, layers=layers, cell=cell, bidirectional=bidirectional)
    theirs = getattr(torch.nn, cell.upper())(3, 4, layers, batch_first=True, bidirectional=bidirectional)
    for index, layer in enumerate(stack.recurrent):
        for reverse in range(1 + bidirectional):
            one_way = (layer.forward_layer, layer.backward_layer)[reverse] if bidirectional else layer
            put_into_torch(one_way, theirs, index, reverse)
    packed = torch.nn.utils.rnn.pack_padded_sequence(torch.from_numpy(inputs), LENGTHS, batch_first=True)
    with torch.no_grad():
        their_outputs, their_state = theirs(packed)
    their_outputs = torch.nn.utils.rnn.pad_packed_sequence(their_outputs, batch_first=True)[0].numpy()
    outputs, state = stack(inputs, mask=MASK)
    np.testing.assert_allclose(numbers(outputs)[MASK], their_outputs[MASK], atol=1e-5)
    for kind, tensor in enumerate([their_state] if cell == "gru" else their_state):
        directions = tensor.reshape(layers, 1 + bidirectional, 3, 4).numpy()
        for index in range(layers):
            np.testing.assert_allclose(numbers(state[index][kind]), np.hstack(directions[index]), atol=1e-5)


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("options", [{}, {"residual": True, "layer_normalization": True, "dropout": 0.5}])
def test_repeated_steps_equal_the_call(rng, cell, options):
    stack, inputs = stack_with_inputs(rng, layers=2, cell=cell, **options)
    first = [[rng.normal(size=(3, 4)).astype("float32") for _ in layer] for layer in stack.state_shape]
    outputs, final = stack(inputs, initial_state=first)
    state = first
    for position in range(5):
        output, state = stack.step(inputs[:, position], state)
        np.testing.assert_allclose(numbers(output), numbers(outputs)[:, position], atol=1e-5)
    for ours, theirs in zip(keras.tree.flatten(state), keras.tree.flatten(final), strict=True):
        np.testing.assert_allclose(numbers(ours), numbers(theirs), atol=1e-5)


def test_what_stands_at_the_side_joins_the_layers_that_were_told_of_it(rng):
    stack = RecurrentStack(4, layers=2)
    stack.join([0, 2])
    stack.build((None, None, 3))
    disturb_weights(stack, rng)
    x, side = rng.normal(size=(1, 3)).astype("float32"), rng.normal(size=(1, 2)).astype("float32")
    output, _ = stack.step(x, [[np.zeros((1, 4), "float32")]] * 2, side)
    bottom = gru_in_numpy(x, stack.recurrent[0].get_weights())
    top = gru_in_numpy(np.hstack([bottom, side]), stack.recurrent[1].get_weights())
    np.testing.assert_allclose(numbers(output), top, atol=1e-5)


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("bidirectional", [False, True, "first"])
def test_what_stands_at_padding_changes_nothing(rng, cell, bidirectional):
    options = {"bidirectional": bidirectional, "residual": True, "layer_normalization": True}
    stack, inputs = stack_with_inputs(rng, layers=2, cell=cell, **options)
    outputs, state = stack(inputs, mask=MASK)
    others, other_state = stack(np.where(MASK[..., None], inputs, 9).astype("float32"), mask=MASK)
    np.testing.assert_array_equal(numbers(others)[MASK], numbers(outputs)[MASK])
    for ours, theirs in zip(keras.tree.flatten(state), keras.tree.flatten(other_state), strict=True):
        np.testing.assert_array_equal(numbers(ours), numbers(theirs))


@pytest.mark.parametrize("bidirectional, units", [(False, [4, 4, 4]), (True, [8, 8, 8]), ("first", [8, 4, 4])])
def test_only_the_lowest_layer_reads_both_ways_if_it_is_the_first(rng, bidirectional, units):
    stack, inputs = stack_with_inputs(rng, layers=3, bidirectional=bidirectional)
    outputs, state = stack(inputs)
    assert [layer[0].shape[-1] for layer in state] == units
    assert outputs.shape[-1] == stack.output_units == units[-1]
    assert stack.state_shape == [[(None, size)] for size in units]


def stack_that_hands_its_state_on(cell):
    """One whose new state is the tanh of the old one: a unit that was hidden once stays zero."""
    stack = RecurrentStack(50, cell=cell, recurrent_dropout=0.5)
    stack.build((None, None, 1))
    always, never = 50, -50
    gates = {"gru": [never, always, 0], "lstm": [always, never, 0, always]}[cell]
    recurrent = np.zeros((50, len(gates), 50))
    recurrent[:, 2] = np.eye(50)
    bias = np.repeat(gates, 50)
    bias = np.stack([bias, np.zeros_like(bias)]) if cell == "gru" else bias
    stack.set_weights([np.zeros((1, 50 * len(gates))), recurrent.reshape(50, -1), bias])
    return stack


def go_in_one_call(stack, state, training):
    return numbers(stack(np.zeros((1, 20, 1), "float32"), initial_state=state, training=training)[0])


def go_in_steps(stack, state, training):
    outputs = []
    with stack.one_recurrent_dropout(state, training):
        for _ in range(20):
            output, state = stack.step(np.zeros((1, 1), "float32"), state, training=training)
            outputs.append(numbers(output))
    return np.stack(outputs, 1)


def go_in_a_loop(stack, state, training):
    """In a graph, over the loop that a decoder goes through."""
    tf = pytest.importorskip("tensorflow")

    def step(inputs, state):
        output, state = stack.step(inputs["inputs"], state, training=training)
        return {"output": output}, state

    @tf.function(autograph=False)
    def outputs():
        with stack.one_recurrent_dropout(state, training):
            found = over_time(step, state, {"output": tf.zeros([1, 50])}, {"inputs": tf.zeros([1, 20, 1])})
        return found["output"]

    return numbers(outputs())


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("go", [go_in_one_call, go_in_steps, go_in_a_loop])
def test_recurrent_dropout_hides_the_same_units_at_all_positions_and_in_training_alone(cell, go):
    stack = stack_that_hands_its_state_on(cell)
    state = [[np.ones((1, 50), "float32") for _ in layer] for layer in stack.state_shape]
    seen = go(stack, state, training=True)[0] > 1e-6
    assert (seen == seen[0]).all() and 10 < seen[0].sum() < 40
    again = go(stack, state, training=True)[0] > 1e-6
    assert (again[0] != seen[0]).any()
    assert (go(stack, state, training=False) > 1e-6).all()


def test_the_dropout_of_a_target_keeps_the_mean():
    stack = RecurrentStack(40, layers=2, dropout=0.25)
    stack.join([10, 20])
    stack.build((None, None, 30))
    factors = [numbers(tensor) for tensor in stack.draw(np.zeros((20, 10, 30), "float32"), training=True)]
    assert [tensor.shape for tensor in factors] == [(20, 10, 40), (20, 10, 60)]
    for tensor in factors:
        np.testing.assert_allclose(np.unique(tensor), [0, 4 / 3], rtol=1e-6)
        assert abs(tensor.mean() - 1) < 0.03
    assert (factors[0][:, 0] != factors[0][:, 1]).any()


def test_there_is_nothing_to_draw_without_dropout_or_training():
    inputs = np.zeros((2, 3, 4), "float32")
    assert RecurrentStack(4).draw(inputs, training=True) == []
    assert RecurrentStack(4, dropout=0.5).draw(inputs, training=False) == []


def test_a_step_multiplies_what_each_layer_reads_with_its_dropout(rng):
    stack, inputs = stack_with_inputs(rng, layers=2)
    state = [[np.zeros((3, 4), "float32")]] * 2
    keep = [rng.integers(0, 2, (3, size)).astype("float32") for size in (3, 4)]
    output, _ = stack.step(inputs[:, 0], state, keep=keep)
    for row in range(3):
        bottom = gru_in_numpy(inputs[row, :1] * keep[0][row], stack.recurrent[0].get_weights())
        top = gru_in_numpy(bottom * keep[1][row], stack.recurrent[1].get_weights())
        np.testing.assert_allclose(numbers(output)[row], top[0], atol=1e-5)


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("bidirectional", [False, "first", True])
def test_it_is_a_layer_of_functional_models_which_keep_a_length_that_is_known(rng, cell, bidirectional, tmp_path):
    inputs = keras.Input((5, 3))
    outputs, _ = RecurrentStack(4, layers=2, cell=cell, bidirectional=bidirectional)(inputs)
    assert outputs.shape == (None, 5, 8 if bidirectional is True else 4)
    model = keras.Model(inputs, keras.layers.Dense(2)(keras.layers.Flatten()(outputs)))
    model.summary(expand_nested=True, print_fn=lambda *lines, **options: None)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    given = rng.normal(size=(2, 5, 3)).astype("float32")
    np.testing.assert_array_equal(numbers(again(given)), numbers(model(given)))


def test_another_direction_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match="'frist', but only True, False and 'first'"):
        RecurrentStack(4, layers=2, bidirectional="frist")


def test_a_stack_of_no_layers_is_refused():
    with pytest.raises(ValueError, match="layers is 0, but it must be 1 or more"):
        RecurrentStack(4, layers=0)


def test_an_unknown_cell_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match="'rnn'.*'gru' and 'lstm'"):
        RecurrentStack(4, cell="rnn")


def test_the_configuration_makes_the_same_layer():
    options = {"layers": 2, "cell": "lstm", "bidirectional": "first", "residual": True, "layer_normalization": True}
    stack = RecurrentStack(4, dropout=0.1, recurrent_dropout=0.2, **options)
    again = keras.layers.deserialize(keras.layers.serialize(stack))
    assert again.get_config() == stack.get_config()
    assert {name: again.get_config()[name] for name in options} == options
