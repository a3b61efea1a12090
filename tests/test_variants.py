"""The same statements about every variant of the model: scores, alignments and wirings in all combinations, and cells."""

import itertools

import keras
import numpy as np
import pytest
from helpers import disturb_weights, numbers, slow, step_by_step

from keras_attn import AttentionSeq2Seq, MaskedCrossEntropy
from keras_attn.layers import AdditiveScore, Attention, LocalAlignment, MonotonicAlignment, PredictiveAlignment
from keras_attn.layers.scores import SCORES as KNOWN_SCORES

SCORES = {**{name: name for name in KNOWN_SCORES}, "coverage": AdditiveScore(coverage=True), "heads": "scaled-dot"}
ALIGNMENTS = {
    "global": "global",
    "local-m": LocalAlignment(window=1),
    "local-p": PredictiveAlignment(window=2),
    "monotonic": MonotonicAlignment(noise=0.1),
}
WIRINGS = {
    "luong": {},
    "input feeding": {"input_feeding": True},
    "bahdanau": {"wiring": "bahdanau"},
    "gnmt": {"wiring": "gnmt"},
}
CELLS = ("gru", "lstm")

# A usual sentence, an empty source, and a target of one token.
INPUTS = {
    "source": np.array([[4, 5, 6], [0, 0, 0], [8, 9, 0]], "int32"),
    "target": np.array([[2, 4, 5], [2, 7, 0], [2, 0, 0]], "int32"),
}
LABELS = np.array([[4, 5, 3], [7, 3, 0], [3, 0, 0]], "int32")
REAL = LABELS > 0


def goes_together(score, alignment, wiring, cell):
    """Heads are refused with a monotonic alignment, which follows a single row of weights."""
    return not (score == "heads" and alignment == "monotonic")


def with_cells_in_turn():
    """Every score with every alignment and wiring, and each pair of these with every cell."""
    for numbered in itertools.product(*map(enumerate, (SCORES, ALIGNMENTS, WIRINGS))):
        places, names = zip(*numbered)
        yield *names, CELLS[sum(places) % len(CELLS)]


ALL = [names for names in with_cells_in_turn() if goes_together(*names)]
# Each score, alignment, wiring and cell at least once.
SELECTED = [
    ("scaled-dot", "global", "luong", "gru"),
    ("general", "monotonic", "luong", "gru"),
    ("cosine", "local-p", "bahdanau", "gru"),
    ("additive", "monotonic", "input feeding", "lstm"),
    ("location", "global", "gnmt", "gru"),
    ("heads", "global", "input feeding", "gru"),
    ("coverage", "local-m", "luong", "lstm"),
]


def make_model(score, alignment, wiring, cell):
    attention = Attention(SCORES[score], ALIGNMENTS[alignment], heads=2 if score == "heads" else 1)
    return build_model(attention=attention, cell=cell, **WIRINGS[wiring])


def build_model(**options):
    model = AttentionSeq2Seq(10, 9, units=4, decoder_layers=2, **options)
    model.build()
    disturb_weights(model, np.random.default_rng(0))
    return model


def behaves(model, folder):
    """All statements about one model in one place, so that it is built once."""
    logits = all_at_once_equals_step_by_step(model)
    padding_and_batch_order_change_no_logit(model, logits)
    weights_survive_saving(model, logits, folder)
    training_lowers_the_loss(model)


def all_at_once_equals_step_by_step(model):
    memory, state = model.encode(INPUTS["source"])
    logits, weights = map(numbers, model.decoder(INPUTS["target"], state, memory))
    step_logits, step_weights = step_by_step(model, INPUTS["target"], state, memory)
    np.testing.assert_allclose(step_logits, logits, atol=1e-5)
    np.testing.assert_allclose(step_weights, weights, atol=1e-6)
    assert np.isfinite(logits).all() and not weights[1].any()
    return logits


def padding_and_batch_order_change_no_logit(model, logits):
    others = {name: np.pad(ids[::-1], [(0, 0), (0, 2)]) for name, ids in INPUTS.items()}
    np.testing.assert_allclose(numbers(model(others))[::-1, :-2][REAL], logits[REAL], atol=1e-5)


def weights_survive_saving(model, logits, folder):
    model.save(folder / "model.keras")
    again = keras.saving.load_model(folder / "model.keras")
    np.testing.assert_array_equal(numbers(again(INPUTS)), logits)


def training_lowers_the_loss(model):
    model.compile(keras.optimizers.SGD(0.2), MaskedCrossEntropy(), run_eagerly=True)
    before, after = (model.train_on_batch(INPUTS, LABELS) for _ in range(2))  # in half the time of `fit`
    assert after < before


@pytest.mark.parametrize("score, alignment, wiring, cell", SELECTED)
def test_a_selection_of_the_variants_behaves(score, alignment, wiring, cell, tmp_path):
    behaves(make_model(score, alignment, wiring, cell), tmp_path)


@pytest.mark.parametrize("cell", ["gru", slow("lstm")])
def test_the_model_without_attention_behaves(cell, tmp_path):
    behaves(build_model(wiring="none", cell=cell), tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("score, alignment, wiring, cell", [names for names in ALL if names not in SELECTED])
def test_every_other_variant_behaves(score, alignment, wiring, cell, tmp_path):
    behaves(make_model(score, alignment, wiring, cell), tmp_path)


def test_what_is_left_out_is_refused():
    with pytest.raises(ValueError, match="monotonic.*2 heads"):
        make_model("heads", "monotonic", "luong", "gru")
