"""A page to try models on: type a text, see what becomes of it, where the model looked, and why it chose a token."""

import functools

import matplotlib.pyplot as plt

from keras_attn.decoding import BeamSearch
from keras_attn.errors import InputError, imported
from keras_attn.plotting import plot_attention
from keras_attn.translator import Translator

_WIDEST = 10
_EXAMPLES = {"dates": ["25 décembre 1997", "1997년 12월 25일 목요일", "March 4th, 2021"]}


def build_demo(folders):
    """The page, as a Gradio app to `launch`.

    Args:
        folders: a list of folders for `Translator.load`, to choose from.

    Returns:
        `gradio.Blocks`.

    Raises:
        InputError: see `Translator.load`; or a model has no attention.
        ImportError: Gradio is not installed.
    """
    gradio = imported("gradio", "The demo")
    translators = {str(folder): Translator.load(folder) for folder in folders}
    for name, translator in translators.items():
        if translator.model.decoder.attention is None:
            raise InputError(f"{name} has the wiring 'none' and looks at nothing; give a model with attention.")

    return _page(gradio, list(translators), *_answers(gradio, translators))


def _answers(gradio, translators):
    """What the page does: a function that translates, and one that explains a token."""

    @functools.cache
    def searching(name, beam):
        of = translators[name]
        return Translator(of.model, of.source_text, of.target_text, search=BeamSearch, width=beam, count=beam)

    def translate(name, text, beam):
        if not text.strip():
            raise gradio.Error("There is no text; type one first.")
        found = searching(name, int(beam)).n_best([text])[0]
        best = found[0]
        rows = [[place, each.text, round(each.score, 3)] for place, each in enumerate(found, 1)]
        steps = [f"{number}: {token}" for number, token in enumerate([*best.tokens, "[END]"], 1)]
        picture = _closed(plot_attention(best.attention, best.source_tokens, best.tokens, margins=True))
        return (
            best.text,
            rows,
            picture,
            gradio.Dropdown(choices=steps, value=steps[0]),
            *explain(name, text, beam, steps[0]),
        )

    def explain(name, text, beam, step):
        explanation = searching(name, int(beam)).explain(text, int(step.partition(":")[0]))
        return str(explanation), _closed(explanation.plot())

    return translate, explain


def _page(gradio, names, translate, explain):
    """The page with its fields, whose buttons call these two functions."""
    first = names[0]
    with gradio.Blocks(title="keras_attn", analytics_enabled=False) as page:
        gradio.Markdown("# Where does it look?\nType a text, and see what the model makes of it, token by token.")
        with gradio.Row():
            with gradio.Column():
                name = gradio.Dropdown(names, value=first, label="Model", visible=len(names) > 1)
                text = gradio.Textbox(label="Text", elem_id="text")
                beam = gradio.Slider(1, _WIDEST, value=5, step=1, label="Width of the beam")
                go = gradio.Button("Translate", variant="primary", elem_id="go")
                if first in _EXAMPLES:
                    gradio.Examples(_EXAMPLES[first], text)
            with gradio.Column():
                output = gradio.Textbox(label="Output", elem_id="output", interactive=False)
                table = gradio.Dataframe(
                    headers=["place", "output", "score"], label="The best outputs", interactive=False
                )
        attention = gradio.Plot(label="Attention", elem_id="attention")
        step = gradio.Dropdown([], label="Explain the choice of token", elem_id="step")
        steps = gradio.Plot(label="Five steps", elem_id="steps")
        words = gradio.Code(label="In numbers", language=None, interactive=False, elem_id="words")
        shown = [output, table, attention, step, words, steps]
        for event in (go.click, text.submit):
            event(translate, [name, text, beam], shown)
        step.input(explain, [name, text, beam, step], [words, steps])
    return page


def _closed(figure):
    """The figure, which pyplot must not keep for ever."""
    plt.close(figure)
    return figure
