"""Decoding as a moving picture: weights wander over the source, the context forms, the next token is chosen."""

import functools
import pathlib
from typing import Any, NamedTuple

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.animation import FuncAnimation, PillowWriter

from keras_attn.drawing import font_families, paper, upright_where_short
from keras_attn.errors import InputError
from keras_attn.explain import explain_steps
from keras_attn.files import written_whole
from keras_attn.tables import text_width, visible

_BARS, _CHOSEN = "#4a7fb5", "#d9822b"
_FONT_POINTS = 11
_DOTS_PER_INCH = 80
_LETTER_POINTS = 0.6  # how wide a letter is, as a share of its size
_WIDEST_RATIO = 5  # of the weights to the candidates

# A step in pictures, and what happens in which of them, as shares of the step from beginning to end.
_PICTURES, _PICTURES_A_SECOND = 10, 10
_LOOKING, _MIXING, _CHOOSING = (0.0, 0.4), (0.2, 0.6), (0.5, 0.8)


def animate_translation(translator, text, path=None, head=1, dark=False):
    """Draws how a translation comes about, token by token.

    Above is what has been written so far; below it the attention weights over the source tokens, and beside them the five
    most probable next tokens with their probabilities; at the bottom the context vector, blue above zero and red below.

    Args:
        translator: `Translator` of one model with attention.
        text: a source text.
        path: where to save it, a name that ends in `.gif`; `None` leaves it open, and
            `IPython.display.HTML(animation.to_jshtml())` shows it in a notebook, with buttons.
        head: which attention head, from 1.
        dark: whether to draw light on dark.

    Returns:
        The `matplotlib.animation.FuncAnimation`.

    Raises:
        InputError: see `keras_attn.explain.explain_step`; the path ends in something else; or the text is empty.
    """
    if path is not None and pathlib.Path(path).suffix.lower() != ".gif":
        raise InputError(f"{path} cannot be a moving picture; let its name end in .gif.")
    steps = explain_steps(translator, text, head)
    if not steps:
        raise InputError(f"{text!r} was translated in 0 steps, so nothing moves; give another text.")
    with paper(dark):
        stage = _set_stage(steps)
        draw = functools.partial(_draw, stage, steps)
        pictures = _PICTURES * len(steps)
        animation = FuncAnimation(stage.figure, draw, frames=pictures, interval=1000 / _PICTURES_A_SECOND)
        if path is not None:
            with written_whole(path) as unfinished:
                animation.save(unfinished, writer=PillowWriter(fps=_PICTURES_A_SECOND), dpi=_DOTS_PER_INCH)
            plt.close(stage.figure)
    return animation


class _Stage(NamedTuple):
    """A figure, and what moves on it."""

    figure: Any
    written: Any  # the line of the target so far
    room: Any  # for how many letters it has room
    bars: Any  # the attention weights
    rivals: Any  # the probabilities of the candidates
    chances: Any  # the panel of these
    strip: Any  # the context vector
    font: Any


def _set_stage(steps):
    """The `_Stage` of the steps, on which nothing has moved yet."""
    source = [visible(token) for token in steps[0].source_tokens]
    targets = [step.chosen for step in steps]
    labels = {token for step in steps for token, _ in step.candidates}
    font = {"family": font_families(set("".join([*source, *targets, *labels]))), "size": _FONT_POINTS}
    letters = sum(max(text_width(token), 2) for token in source)
    figure = plt.figure(figsize=(max(7, min(4 + 0.14 * letters, 16)), 4.2), layout="constrained")
    grid = figure.add_gridspec(
        3, 2, height_ratios=(0.7, 4, 0.5), width_ratios=(min(max(2, 0.07 * letters), _WIDEST_RATIO), 1)
    )
    line, looks, chances, context = (
        figure.add_subplot(place) for place in (grid[0, :], grid[1, 0], grid[1, 1], grid[2, :])
    )
    written = line.text(0, 0.5, "", va="center", **(font | {"size": _FONT_POINTS + 4}))
    line.set_axis_off()
    room = 0.9 * 72 * figure.get_figwidth() / (_LETTER_POINTS * (_FONT_POINTS + 4))
    bars = looks.bar(range(len(source)), np.zeros(len(source)), color=_BARS)
    looks.set(ylim=(0, 1), ylabel="attention weight")
    looks.set_xticks(range(len(source)), source, **font)
    upright_where_short(looks.get_xticklabels())
    places = range(len(steps[0].candidates))
    rivals = chances.barh(places, np.zeros(len(places)), color=_BARS)
    chances.set(xlim=(0, 1), xlabel="probability of the next token", ylim=(len(places) - 0.5, -0.5))
    largest = max(np.abs(step.context).max() for step in steps)
    # Colours between two units would make a file half as large again, and mean nothing.
    strip = context.imshow(
        steps[0].context[None], cmap="RdBu", vmin=-largest, vmax=largest, aspect="auto", interpolation="nearest"
    )
    context.set(xticks=[], yticks=[], xlabel="context vector")
    for panel in (looks, chances):
        panel.spines[["top", "right"]].set_visible(False)
        panel.tick_params(length=0)
    # Where everything stands is decided once, with the widest labels, so that nothing jumps.
    chances.set_yticks(places, [visible(max(labels, key=text_width))] * len(places), **font)
    figure.canvas.draw()
    figure.set_layout_engine("none")
    return _Stage(figure, written, room, bars, rivals, chances, strip, font)


def _draw(stage, steps, number):
    """Puts everything where it is in the picture with this number; returns what moved."""
    index, share = number // _PICTURES, (number % _PICTURES + 1) / _PICTURES
    step = steps[index]
    weights, vector = (steps[index - 1].weights, steps[index - 1].context) if index else (0, 0)
    for bar, height in zip(stage.bars, _between(weights, step.weights, share, _LOOKING)):
        bar.set_height(height)
    stage.strip.set_data(_between(vector, step.context, share, _MIXING)[None])
    chosen = _done(share, _CHOOSING)
    labels = [visible(token) if chosen else "" for token, _ in step.candidates]
    stage.chances.set_yticks(range(len(labels)), labels, **stage.font)
    for bar, (token, probability) in zip(stage.rivals, step.candidates):
        bar.set_width(chosen * probability)
        bar.set_color(_CHOSEN if token == step.chosen else _BARS)
    tokens = [*step.written, *([step.chosen] if chosen == 1 else [])]
    stage.written.set_text(_last(tokens, stage.room) + " ▏")
    return [*stage.bars, *stage.rivals, stage.strip, stage.written]


def _last(tokens, room):
    """As many of the last tokens as have room, in letters, with dots in the place of those before."""
    shown = [visible(token) for token in tokens]
    first = next(first for first in range(len(shown) + 1) if text_width(" ".join(shown[first:])) <= room)
    return " ".join(["…", *shown[first:]] if first else shown)


def _between(before, after, share, period):
    done = _done(share, period)
    return (1 - done) * before + done * after


def _done(share, period):
    """How much of what happens in a period of a step has happened: from 0 to 1."""
    start, end = period
    return min(max((share - start) / (end - start), 0.0), 1.0)
