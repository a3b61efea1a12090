import numpy as np
import pytest
from matplotlib import pyplot
from PIL import Image

pytest.importorskip("tensorflow_text")

import keras

from keras_attn import AttentionSeq2Seq, InputError, Translator, animate_translation, animation
from keras_attn.explain import explain_step, explain_steps
from keras_attn.text import CharacterProcessor

pytestmark = pytest.mark.usefixtures("unoptimized_graphs")

LETTERS = CharacterProcessor("abcd ")


@pytest.fixture
def translator():
    keras.utils.set_random_seed(1)
    model = AttentionSeq2Seq(LETTERS.vocabulary_size, LETTERS.vocabulary_size, units=8)
    return Translator(model, LETTERS, LETTERS, max_length=4)


@pytest.fixture(autouse=True)
def close_figures():
    yield
    pyplot.close("all")


def bars(axes):
    return [patch.get_height() for patch in axes.patches]


def test_every_step_ends_with_its_weights_its_candidates_and_its_token(translator):
    steps = explain_steps(translator, "ab cd")
    stage = animation._set_stage(steps)
    line, looks, chances, context = stage.figure.axes
    for number, step in enumerate(steps, 1):
        animation._draw(stage, steps, number * animation._PICTURES - 1)
        np.testing.assert_allclose(bars(looks), step.weights, rtol=1e-6)
        np.testing.assert_allclose(context.images[0].get_array()[0], step.context, rtol=1e-6)
        shares = [patch.get_width() for patch in chances.patches]
        np.testing.assert_allclose(shares, [share for _, share in step.candidates], rtol=1e-6)
        assert line.texts[0].get_text().split()[:-1] == [*step.written, step.chosen]


def test_weights_wander_from_one_step_to_the_next(translator):
    first, second, *_ = steps = explain_steps(translator, "ab cd")
    stage = animation._set_stage(steps)
    animation._draw(stage, steps, animation._PICTURES + 1)  # half of the time that looking takes
    np.testing.assert_allclose(bars(stage.figure.axes[1]), (first.weights + second.weights) / 2, rtol=1e-5)


def test_all_steps_are_those_that_are_explained_one_by_one(translator):
    steps = explain_steps(translator, "ab cd")
    assert [step.chosen for step in steps[:4]] == translator.translate(["ab cd"])[0].tokens
    for number, step in enumerate(steps, 1):
        alone = explain_step(translator, "ab cd", number)
        np.testing.assert_array_equal(alone.weights, step.weights)
        assert alone.candidates == step.candidates and alone.written == step.written and alone.chosen == step.chosen


def test_it_is_saved_as_a_picture_that_moves_and_closed(translator, tmp_path, monkeypatch):
    monkeypatch.setattr(animation, "_PICTURES", 2)
    steps = explain_steps(translator, "ab cd")
    animate_translation(translator, "ab cd", tmp_path / "decoding.gif", dark=True)
    with Image.open(tmp_path / "decoding.gif") as picture:
        # Pillow writes pictures that are the same as one.
        assert len(steps) < picture.n_frames <= 2 * len(steps) and picture.info["loop"] == 0
    assert not pyplot.get_fignums()


def test_an_empty_text_is_refused(translator):
    with pytest.raises(InputError, match="'' was translated in 0 steps"):
        animate_translation(translator, "")


def test_another_ending_is_refused(translator, tmp_path):
    with pytest.raises(InputError, match="let its name end in .gif"):
        animate_translation(translator, "ab", tmp_path / "decoding.mp4")


def test_what_has_no_room_leaves_on_the_left():
    assert animation._last(["ab", "cd"], 5) == "ab cd"
    assert animation._last(["ab", "cd", "ef"], 5) == "… cd ef"
    assert animation._last(["abcdefgh"], 5) == "…"
