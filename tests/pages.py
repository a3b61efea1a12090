"""Translations for the tests of the attention page."""

from types import SimpleNamespace

import numpy as np

MARKUP = [
    "<script>alert(1)</script>",
    '"quotes"',
    "'",
    "</script>",
    "&amp;",
    "</td><b>",
    "$title",
    "\u2028",
    "http://a.b",
    "<img/src=x/onerror=alert(2)>",
]


def translation(tokens, source_tokens, attention=None, text=None, score=-1.5):
    if attention is None:
        attention = np.random.default_rng(0).dirichlet(np.ones(len(source_tokens)), size=len(tokens)).astype("float32")
    text = " ".join(tokens) if text is None else text
    return SimpleNamespace(text=text, tokens=tokens, source_tokens=source_tokens, attention=attention, score=score)


# Two hypotheses of one source, each with the weights of two heads, whose mean is its attention.
FIRST = translation(["x", "y"], ["u", "v"], np.array([[0.1, 0.9], [0.25, 0.75]]), score=-1.0)
SECOND = translation(["x", "z", "w"], ["u", "v"], np.array([[0.6, 0.4], [0.5, 0.5], [0.0, 1.0]]), score=-2.0)
HEADS = {
    "x y": [np.array([[0.2, 0.8], [0.5, 0.5]]), np.array([[0.0, 1.0], [0.0, 1.0]])],
    "x z w": [np.array([[0.2, 0.8], [1.0, 0.0], [0.0, 1.0]]), np.array([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])],
}


def heads_of(translation):
    return HEADS[translation.text]
