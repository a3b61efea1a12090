import keras
import numpy as np
import pytest
from helpers import numbers, random_ids, run_python, teacher_forcing

from keras_attn import AttentionSeq2Seq, MaskedCrossEntropy, Perplexity, TokenAccuracy

CELLS_AND_LAYERS = [("gru", 1), ("lstm", 2)]


def small_model(**options):
    model = AttentionSeq2Seq(20, 15, units=8, embedding_units=6, **options)
    model.build()
    return model


@pytest.fixture
def inputs(rng):
    target, labels = teacher_forcing(rng, 15, [4, 1, 6, 0])
    return {"source": random_ids(rng, 20, [5, 3, 0, 7]), "target": target}, labels


def compiled(model, **options):
    model.compile(
        keras.optimizers.Adam(0.01), MaskedCrossEntropy(0.1), metrics=[TokenAccuracy(), Perplexity()], **options
    )
    return model


@pytest.mark.parametrize("cell, layers", CELLS_AND_LAYERS)
def test_teacher_forcing_equals_step_by_step(inputs, cell, layers):
    (inputs, _) = inputs
    model = small_model(cell=cell, encoder_layers=layers, decoder_layers=layers, dropout=0.3)
    logits, weights = numbers(model(inputs)), numbers(model.attend(inputs))
    memory, state = model.encode(inputs["source"])
    for position, tokens in enumerate(inputs["target"].T):
        step_logits, state, step_weights = model.step(tokens, state, memory)
        np.testing.assert_allclose(numbers(step_logits), logits[:, position], atol=1e-5)
        np.testing.assert_allclose(numbers(step_weights), weights[:, position], atol=1e-6)


@pytest.mark.parametrize("cell, layers", CELLS_AND_LAYERS)
def test_padding_and_batch_order_change_no_logit(inputs, cell, layers):
    (inputs, labels) = inputs
    model = small_model(cell=cell, encoder_layers=layers, decoder_layers=layers)
    logits = numbers(model(inputs))
    other = numbers(model({name: np.pad(ids[::-1], [(0, 0), (0, 3)]) for name, ids in inputs.items()}))[::-1, :-3]
    real = labels > 0
    np.testing.assert_allclose(other[real], logits[real], atol=1e-5)
    assert np.isfinite(other).all()


def test_padding_does_not_change_the_gradient(inputs):
    tf = pytest.importorskip("tensorflow")
    (inputs, labels), model, loss = inputs, small_model(), MaskedCrossEntropy(0.1)

    def gradients(pad):
        with tf.GradientTape() as tape:
            logits = model({name: np.pad(ids, [(0, 1), (0, pad)]) for name, ids in inputs.items()})
            value = loss(np.pad(labels, [(0, 1), (0, pad)]), logits)
        return [tf.convert_to_tensor(g) for g in tape.gradient(value, [w.value for w in model.trainable_weights])]

    for plain, padded in zip(gradients(0), gradients(4)):
        np.testing.assert_allclose(plain, padded, atol=1e-6)


def test_fit_lowers_the_loss(inputs):
    (inputs, labels), model = inputs, compiled(small_model())
    losses = model.fit(inputs, labels, epochs=30, verbose=0).history["loss"]
    assert losses[-1] < 0.8 * losses[0]


def test_the_same_seed_gives_the_same_run(inputs):
    def losses():
        keras.utils.set_random_seed(7)
        model = compiled(AttentionSeq2Seq(20, 15, units=8, dropout=0.3, attention_dropout=0.1))
        return model.fit(*inputs, epochs=3, batch_size=2, verbose=0).history["loss"]

    assert losses() == losses()


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision_trains_and_stays_near_float32(inputs, policy, tmp_path):
    (inputs, labels) = inputs
    model = compiled(AttentionSeq2Seq(20, 15, units=8, dtype=policy))
    assert np.isfinite(model.fit(inputs, labels, epochs=3, verbose=0).history["loss"]).all()
    assert {weight.dtype for weight in model.trainable_weights} == {"float32"}
    full = AttentionSeq2Seq(20, 15, units=8)
    full.build()
    full.set_weights(model.get_weights())
    assert model(inputs).dtype == policy.removeprefix("mixed_")
    np.testing.assert_allclose(numbers(model(inputs)), numbers(full(inputs)), atol=0.05)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(numbers(again(inputs)), numbers(model(inputs)))


@pytest.mark.slow
def test_jit_compilation_gives_the_same_losses(inputs):
    def losses(jit):
        keras.utils.set_random_seed(1)
        model = compiled(small_model(), jit_compile=jit)
        return model.fit(*inputs, epochs=3, verbose=0).history["loss"]

    np.testing.assert_allclose(losses(True), losses(False), rtol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("cell, layers", CELLS_AND_LAYERS)
def test_a_saved_model_gives_the_same_numbers_in_a_fresh_process(inputs, cell, layers, tmp_path):
    (inputs, labels) = inputs
    options = {"cell": cell, "encoder_layers": layers, "decoder_layers": layers, "dropout": 0.2, "scaled": False}
    model = compiled(small_model(**options))
    model.fit(inputs, labels, verbose=0)
    model.save(tmp_path / "model.keras")
    np.savez(tmp_path / "inputs.npz", **inputs)
    run_python(
        "import keras_attn, keras, numpy as np\n"
        "model = keras.saving.load_model('model.keras')\n"
        "np.save('logits.npy', model.predict(dict(np.load('inputs.npz')), verbose=0))\n",
        cwd=tmp_path,
    )
    np.testing.assert_allclose(np.load(tmp_path / "logits.npy"), model.predict(inputs, verbose=0), atol=1e-6)


@pytest.mark.slow
def test_it_trains_on_the_jax_backend(tmp_path):
    pytest.importorskip("jax")
    printed = run_python(
        "import numpy as np, keras, keras_attn\n"
        "assert keras.backend.backend() == 'jax'\n"
        "rng = np.random.default_rng(0)\n"
        "source, target = rng.integers(4, 20, (16, 5)), rng.integers(4, 15, (16, 6))\n"
        "source[0] = 0\n"
        "model = keras_attn.AttentionSeq2Seq(20, 15, units=8, dropout=0.1, cell='lstm')\n"
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


def test_the_configuration_makes_the_same_model():
    model = AttentionSeq2Seq(20, 15, units=8, cell="lstm", encoder_layers=2, bidirectional=False, bridge="copy")
    again = AttentionSeq2Seq.from_config(model.get_config())
    model.build()
    again.build()
    assert again.get_config() == model.get_config()
    assert [w.shape for w in again.weights] == [w.shape for w in model.weights]


@pytest.mark.parametrize("option", ["units", "embedding_units", "encoder_layers"])
def test_sizes_below_one_are_refused_by_name(option):
    with pytest.raises(ValueError, match=f"{option} is 0"):
        AttentionSeq2Seq(20, 15, **{option: 0})
