import keras
import pytest

pytest.importorskip("tensorflow_text")
pytest.importorskip("sacrebleu")

from keras_attn import AttentionSeq2Seq, DecodedQuality, MaskedCrossEntropy, Translator, batches
from keras_attn.evaluation import exact_match, measure
from keras_attn.text import CharacterProcessor
from keras_attn.training.monitoring import less_is_better

LETTERS = CharacterProcessor("abcd ")
PAIRS = [("ab", "b a"), ("ba", "a b"), ("cd", "d c"), ("dc", "c d"), ("abcd", "d c b a")] * 4


@pytest.fixture
def model():
    keras.utils.set_random_seed(0)
    model = AttentionSeq2Seq(LETTERS.vocabulary_size, LETTERS.vocabulary_size, units=16)
    model.compile(keras.optimizers.Adam(0.03), MaskedCrossEntropy())
    return model


def fit(model, *callbacks, epochs):
    training = batches(PAIRS, LETTERS, LETTERS, batch_size=4, seed=0)
    return model.fit(training, epochs=epochs, shuffle=False, verbose=0, callbacks=list(callbacks)).history


@pytest.mark.slow
def test_an_epoch_reports_what_the_model_translates_at_its_end(model):
    sources, targets = map(list, zip(*PAIRS[:5]))
    seen = {}

    class Spy(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            if epoch in (0, 11):
                outputs = Translator(self.model, LETTERS, LETTERS)(sources)
                seen[epoch] = measure(outputs, targets, ["bleu", "exact_match"])

    quality = DecodedQuality(sources, targets, LETTERS, LETTERS, ["bleu", "exact_match"])
    history = fit(model, quality, Spy(), epochs=12)
    for name in ("bleu", "exact_match"):
        reported = {epoch: history[f"val_{name}"][epoch] for epoch in seen}
        assert reported == {epoch: values[name] for epoch, values in seen.items()}
    assert history["val_exact_match"][-1] > history["val_exact_match"][0]
    assert not [name for name in history if "signature" in name]


@pytest.mark.slow
def test_training_stops_early_by_what_it_reports(model):
    quality = DecodedQuality(["ab"], ["never"], LETTERS, LETTERS, ["exact_match"])
    stopping = keras.callbacks.EarlyStopping("val_exact_match", mode="max", patience=2)
    assert len(fit(model, quality, stopping, epochs=9)["loss"]) == 3


def test_an_output_may_equal_any_of_its_references(model):
    outputs = Translator(model, LETTERS, LETTERS)(["ab", "cd"])
    quality = DecodedQuality(["ab", "cd"], [["no", outputs[0]], [outputs[1]]], LETTERS, LETTERS, ["exact_match"])
    quality.set_model(model)
    logs = {}
    quality.on_epoch_end(0, logs)
    assert logs == {"val_exact_match": exact_match(outputs, outputs)} == {"val_exact_match": 1.0}


def test_errors_and_losses_improve_by_falling():
    assert [less_is_better(name) for name in ("val_loss", "val_token_error_rate", "val_bleu", "val_exact_match")] == [
        True,
        True,
        False,
        False,
    ]


def test_token_errors_are_those_of_the_models_tokens(model):
    quality = DecodedQuality(["ab"], ["abcd"], LETTERS, LETTERS, ["token_error_rate"])
    quality.set_model(model)
    quality._translator, logs = (lambda sources: ["abc"]), {}
    quality.on_epoch_end(0, logs)
    assert logs["val_token_error_rate"] == 0.25
