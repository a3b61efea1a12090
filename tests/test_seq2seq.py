import contextlib

import keras
import numpy as np
import pytest
import tensorflow as tf
from helpers import disturb_weights, numbers, random_ids, run_python, slow, step_by_step, teacher_forcing

from keras_attn import (
    AttentionSeq2Seq,
    BeamSearch,
    GreedyDecoder,
    MaskedCrossEntropy,
    Perplexity,
    TokenAccuracy,
)
from keras_attn.layers import AdditiveScore, Attention, DotScore, LocalAlignment, MonotonicAlignment

CELLS_AND_LAYERS = [("gru", 1), ("lstm", 2)]
FEEDING_BACK = {
    "input feeding": {"input_feeding": True},
    "monotonic": {"attention": Attention("additive", MonotonicAlignment(noise=0.0))},
}
ELABORATE = {
    "luong": {
        "attention": Attention(AdditiveScore(normalized=True, coverage=True), LocalAlignment(window=3), dropout=0.1),
        "input_feeding": True,
        "coverage_loss": 0.5,
        "bridge": "mean",
        "cell": "lstm",
        "encoder_layers": 2,
        "residual": True,
        "recurrent_dropout": 0.1,
    },
    "gnmt": {
        "wiring": "gnmt",
        "attention": Attention("scaled-dot", heads=2),
        "encoder_layers": 3,
        "decoder_layers": 2,
        "layer_normalization": True,
        "dropout": 0.2,
        "token_dropout": 0.1,
    },
    "bahdanau": {
        "wiring": "bahdanau",
        "attention": Attention("additive", "monotonic"),
        "target_vocabulary_size": 20,
        "embedding_units": 8,
        "tied_softmax": True,
        "tied_embeddings": True,
        "bridge": "zero",
    },
}


def make_model(**options):
    sizes = {"source_vocabulary_size": 20, "target_vocabulary_size": 15, "units": 8, "embedding_units": 6}
    return AttentionSeq2Seq(**{**sizes, **options})


def small_model(**options):
    model = make_model(**options)
    model.build()
    return model


def random_batch(rng):
    target, labels = teacher_forcing(rng, 15, [4, 1, 6, 0])
    return {"source": random_ids(rng, 20, [5, 3, 0, 7]), "target": target}, labels


@pytest.fixture
def inputs(rng):
    return random_batch(rng)


def compiled(model, **options):
    metrics = [TokenAccuracy(), Perplexity()]
    model.compile(keras.optimizers.Adam(0.01), MaskedCrossEntropy(0.1), metrics=metrics, **options)
    return model


def saved_and_loaded(model, folder):
    model.save(folder / "model.keras")
    return keras.saving.load_model(folder / "model.keras")


@pytest.mark.parametrize("cell, layers", CELLS_AND_LAYERS)
def test_teacher_forcing_equals_step_by_step(inputs, cell, layers):
    (inputs, _) = inputs
    model = small_model(cell=cell, encoder_layers=layers, decoder_layers=layers, dropout=0.3)
    logits, weights = numbers(model(inputs)), numbers(model.attend(inputs))
    memory, state = model.encode(inputs["source"])
    step_logits, step_weights = step_by_step(model, inputs["target"], state, memory)
    np.testing.assert_allclose(step_logits, logits, atol=1e-5)
    np.testing.assert_allclose(step_weights, weights, atol=1e-6)


@pytest.mark.parametrize("cell, layers", CELLS_AND_LAYERS)
def test_padding_and_batch_order_change_no_logit(inputs, cell, layers):
    (inputs, labels) = inputs
    model = small_model(cell=cell, encoder_layers=layers, decoder_layers=layers)
    logits = numbers(model(inputs))
    other = numbers(model({name: np.pad(ids[::-1], [(0, 0), (0, 3)]) for name, ids in inputs.items()}))[::-1, :-3]
    real = labels > 0
    np.testing.assert_allclose(other[real], logits[real], atol=1e-5)
    assert np.isfinite(other).all()


@pytest.mark.parametrize("options", [{}, *FEEDING_BACK.values()], ids=["plain", *FEEDING_BACK])
def test_padding_does_not_change_the_gradient(inputs, options):
    tf = pytest.importorskip("tensorflow")
    (inputs, labels), model, loss = inputs, small_model(**options), MaskedCrossEntropy(0.1)

    def gradients(pad):
        with tf.GradientTape() as tape:
            padded = {name: np.pad(ids, [(0, 1), (0, pad)]) for name, ids in inputs.items()}
            logits = model(padded, training=True)  # no dropout here, but monotonic attention has its gradient
            value = loss(np.pad(labels, [(0, 1), (0, pad)]), logits)
        return [tf.convert_to_tensor(g) for g in tape.gradient(value, [w.value for w in model.trainable_weights])]

    for plain, padded in zip(gradients(0), gradients(4)):
        np.testing.assert_allclose(plain, padded, atol=1e-6)


def test_fit_lowers_the_loss(inputs):
    (inputs, labels), model = inputs, compiled(small_model(), run_eagerly=True)
    losses = model.fit(inputs, labels, epochs=5, verbose=0).history["loss"]
    assert losses[-1] < 0.98 * losses[0]


def test_a_step_is_traced_once(inputs):
    model, traced = compiled(make_model()), []
    step = model.train_step
    model.train_step = lambda data: traced.append(data) or step(data)
    model.fit(*inputs, batch_size=2, verbose=0)
    assert len(traced) == 1


def test_the_same_seed_gives_the_same_run(inputs):
    def losses():
        keras.utils.set_random_seed(7)
        model = compiled(make_model(dropout=0.3, attention=Attention("additive", dropout=0.1)), run_eagerly=True)
        return model.fit(*inputs, batch_size=2, verbose=0).history["loss"]

    assert losses() == losses()


LOW_PRECISION = {
    "plain": {},
    "input feeding": {"attention": "additive", "input_feeding": True, "tied_softmax": True},
    "gnmt": ELABORATE["gnmt"],
}


@pytest.mark.parametrize(
    "policy, name",
    [
        ("mixed_bfloat16", "plain"),
        slow("mixed_float16", "plain"),
        slow("mixed_float16", "input feeding"),
        slow("mixed_bfloat16", "gnmt"),
    ],
)
def test_mixed_precision_trains_and_stays_near_float32(inputs, policy, name, tmp_path):
    (inputs, labels), options = inputs, LOW_PRECISION[name]
    model = compiled(make_model(dtype=policy, **options), run_eagerly=True)
    assert np.isfinite(model.fit(inputs, labels, verbose=0).history["loss"]).all()
    assert {weight.dtype for weight in model.trainable_weights} == {"float32"}
    full = small_model(**options)
    full.set_weights(model.get_weights())
    assert model(inputs).dtype == policy.removeprefix("mixed_")
    np.testing.assert_allclose(numbers(model(inputs)), numbers(full(inputs)), atol=0.05)
    again = saved_and_loaded(model, tmp_path)
    np.testing.assert_array_equal(numbers(again(inputs)), numbers(model(inputs)))


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"input_feeding": True, "attention": Attention(AdditiveScore(coverage=True))},
        {"wiring": "gnmt", "decoder_layers": 2, "attention": Attention("additive", MonotonicAlignment(noise=0))},
    ],
)
def test_jit_compilation_gives_the_same_losses(inputs, options):
    def losses(jit):
        keras.utils.set_random_seed(1)
        model = compiled(small_model(**options), jit_compile=jit)
        return model.fit(*inputs, epochs=3, verbose=0).history["loss"]

    np.testing.assert_allclose(losses(True), losses(False), rtol=1e-4)


@pytest.mark.slow
def test_it_trains_on_the_jax_backend(tmp_path):
    pytest.importorskip("jax")
    printed = run_python(
        "import numpy as np, keras, keras_attn\n"
        "from keras_attn.layers import Attention\n"
        "assert keras.backend.backend() == 'jax'\n"
        "rng = np.random.default_rng(0)\n"
        "source, target = rng.integers(4, 20, (16, 5)), rng.integers(4, 15, (16, 6))\n"
        "source[0] = 0\n"
        "attention = Attention('additive', 'monotonic', dropout=0.1)\n"
        "model = keras_attn.AttentionSeq2Seq(\n"
        "    20, 15, units=8, dropout=0.1, recurrent_dropout=0.1, cell='lstm', attention=attention, input_feeding=True\n"
        ")\n"
        "model.compile('adam', keras_attn.MaskedCrossEntropy(0.1), metrics=[keras_attn.Perplexity()])\n"
        "data = {'source': source, 'target': target}, np.roll(target, -1, 1)\n"
        "losses = model.fit(*data, epochs=20, verbose=0).history['loss']\n"
        "model.save('model.keras')\n"
        "again = keras.saving.load_model('model.keras')\n"
        "np.testing.assert_allclose(again.predict(data[0], verbose=0), model.predict(data[0], verbose=0), atol=1e-6)\n"
        "print(losses[-1] < losses[0])\n",
        cwd=tmp_path,
        KERAS_BACKEND="jax",
    )
    assert printed.strip().endswith("True")


def test_an_attention_that_two_models_are_given_is_copied(inputs):
    attention = Attention("additive")
    models = [small_model(attention=attention) for _ in range(2)]
    assert not attention.built
    before = numbers(models[1](inputs[0]))
    disturb_weights(models[0], np.random.default_rng(1))
    np.testing.assert_array_equal(numbers(models[1](inputs[0])), before)


def coverage_loss_in_numpy(weights, labels):
    """See et al. 2017, equation 12, as a mean over all real tokens."""
    total = 0
    for sentence, length in zip(weights, (labels > 0).sum(1)):
        for position in range(length):
            total += np.minimum(sentence[position], sentence[:position].sum(0)).sum()
    return total / (labels > 0).sum()


def test_the_coverage_loss_is_added_to_the_loss_and_leaves_padding_out(inputs):
    inputs, labels = inputs
    plain = small_model()
    covering = small_model(coverage_loss=2.0)
    covering.set_weights(plain.get_weights())
    for padding in (0, 3):
        data = [{name: np.pad(ids, [(0, 0), (0, padding)]) for name, ids in inputs.items()}]
        data.append(np.pad(labels, [(0, 0), (0, padding)]))
        losses = [
            compiled(model, run_eagerly=True).evaluate(*data, verbose=0, return_dict=True)["loss"]
            for model in (plain, covering)
        ]
        expected = 2 * coverage_loss_in_numpy(numbers(plain.attend(inputs)), labels)
        np.testing.assert_allclose(losses[1] - losses[0], expected, rtol=1e-5)


def test_gnmt_reads_both_ways_at_the_bottom_and_has_residual_connections_unless_told_otherwise():
    gnmt = make_model(wiring="gnmt", encoder_layers=2, decoder_layers=2)
    assert gnmt.encoder.stack.bidirectional == "first"
    assert gnmt.encoder.stack.residual and gnmt.decoder.stack.residual
    told = make_model(wiring="gnmt", encoder_layers=2, decoder_layers=2, bidirectional=True, residual=False)
    assert told.encoder.stack.bidirectional is True
    assert not told.encoder.stack.residual and not told.decoder.stack.residual
    luong = make_model(encoder_layers=2, decoder_layers=2)
    assert luong.encoder.stack.bidirectional is True
    assert not luong.encoder.stack.residual and not luong.decoder.stack.residual


@pytest.mark.parametrize(
    "options, message",
    [
        ({"tied_embeddings": True}, "tied_embeddings.*20 and 15"),
        ({"coverage_loss": 1.0, "wiring": "none"}, "coverage_loss.*wiring='none'"),
        ({"residual": True}, "residual.*no two of these"),
        ({"tied_softmax": True, "wiring": "gnmt"}, "6 units and the decoder 8.*embedding_units"),
        ({"attention": "dots"}, "'dots'.*scaled-dot"),
        ({"attention": DotScore()}, "attention is <DotScore .*, but it must be the name of a score or an Attention"),
        ({"attention": False}, "attention is False, but it must be"),
        ({"target_vocabulary_size": 3}, "target_vocabulary_size is 3, but it must be 4 or more"),
        ({"wiring": "none", "attention": "dot"}, "wiring='none' has no attention"),
        ({"units": 9, "attention": Attention(heads=2)}, "2 heads cannot share 9 units"),
    ],
)
def test_what_does_not_go_together_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        small_model(**options)


def test_the_summary_goes_into_nested_layers():
    lines = []
    model = small_model()
    model.build()
    model.summary(expand_nested=True, print_fn=lambda line, **options: lines.append(line))
    assert "bridge" in "".join(lines)


def test_a_model_is_not_quantized():
    with pytest.raises(ValueError, match="cannot be quantized"):
        small_model().quantize("int8")


@pytest.mark.slow
@pytest.mark.parametrize("options", [{}, {"input_feeding": True}, {"wiring": "bahdanau"}])
def test_float64_trains_and_is_decoded(inputs, options):
    (inputs, labels) = inputs
    attention = Attention("additive", dropout=0.2, dtype="float64")
    model = compiled(make_model(dtype="float64", attention=attention, **options))
    assert np.isfinite(model.fit(inputs, labels, verbose=0).history["loss"])
    assert model.attend(inputs).dtype == "float64"
    for search in (GreedyDecoder(model), BeamSearch(model, width=2)):
        assert search(inputs["source"]).tokens.shape[0] == 4


@pytest.mark.parametrize(
    "names, message",
    [(None, "a dictionary, but was given a tuple"), (["source"], "a dictionary, but was given one without 'target'")],
)
def test_inputs_of_another_kind_are_refused_in_words(inputs, names, message):
    (inputs, labels) = inputs
    given = tuple(inputs.values()) if names is None else {name: inputs[name] for name in names}
    with pytest.raises(ValueError, match=f"^The model reads {message}"):
        compiled(make_model()).fit(given, labels, verbose=0)


@pytest.mark.parametrize(
    "source, target, sentence",
    [
        ([[4], [5]], [[2]], "^There are 2 sources and 1 targets"),
        ([[4]], [[2], [2]], "^There are 1 sources and 2 targets"),
        (np.zeros((1, 0)), [[2]], "^Source or target has no column"),
        ([[4]], np.zeros((1, 0)), "^Source or target has no column"),
        ([4], [[2]], r"must be ids \(batch, length\), but have the shapes \(1,\) and \(1, 1\)"),
    ],
)
def test_inputs_of_another_shape_are_refused_in_words(source, target, sentence):
    with pytest.raises(ValueError, match=sentence):
        make_model()({"source": np.array(source, "int32"), "target": np.array(target, "int32")})


@pytest.mark.parametrize("option", ["units", "embedding_units", "encoder_layers"])
def test_sizes_below_one_are_refused_by_name(option):
    with pytest.raises(ValueError, match=f"{option} is 0"):
        make_model(**{option: 0})


def test_a_share_of_hidden_states_that_is_none_is_refused():
    with pytest.raises(ValueError, match="recurrent_dropout is 1.5, but it must be 0 or more and below 1"):
        small_model(recurrent_dropout=1.5)


@pytest.mark.slow
def test_it_trains_under_a_strategy_with_one_replica_as_without(inputs):
    losses = []
    for scope in (contextlib.nullcontext(), tf.distribute.OneDeviceStrategy("/cpu:0").scope()):
        keras.utils.set_random_seed(1)
        with scope:
            model = compiled(make_model())
        losses.append(model.fit(*inputs, epochs=2, shuffle=False, verbose=0).history["loss"])
    np.testing.assert_allclose(*losses, rtol=1e-5)


@pytest.mark.slow
def test_a_loop_of_ones_own_may_use_xla(inputs):
    given, labels = inputs
    model, loss = make_model(), MaskedCrossEntropy()
    model.build()

    def value(given, labels):
        return loss(labels, model(given, training=True))

    given, labels = tf.nest.map_structure(tf.constant, (given, labels))
    np.testing.assert_allclose(tf.function(value, jit_compile=True)(given, labels), value(given, labels), rtol=1e-4)


@pytest.mark.parametrize("tied", [False, True])
def test_each_dropout_is_where_it_is_said_to_be(tied):
    sizes = {"target_vocabulary_size": 20, "tied_embeddings": tied, "tied_softmax": tied, "embedding_units": 8}
    model = small_model(**sizes, dropout=0.3, token_dropout=0.2, recurrent_dropout=0.1)
    assert model.decoder.dropout.rate == 0.3
    for part in (model.encoder, model.decoder):
        assert (part.embedding.dropout.rate, part.stack.dropout.rate, part.stack.recurrent_dropout) == (0.2, 0.3, 0.1)
