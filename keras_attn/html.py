"""Where the model looked, as a web page of its own: point at a token to see its weights, choose a hypothesis and a head.

The page loads nothing and runs without a network. Without its script it still shows every weight of every hypothesis
and head, in tables one below the other, and the script reads the weights from there: no text of the user's is ever
inside it.
"""

import string
from html import escape

from keras_attn.errors import InputError
from keras_attn.tables import visible

_PAGE = string.Template("""\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy"
  content="default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'">
<title>$title</title>
<style>
/* A full shade is light enough for black text, in the dark scheme dark enough for white. */
:root { color-scheme: light dark;
  --paper: #ffffff; --ink: #111111; --faint: #5c5c5c; --line: #d4d4d4; --shade: 74 144 217; }
@media (prefers-color-scheme: dark) {
  :root { --paper: #15171b; --ink: #f2f2f2; --faint: #a3a8b0; --line: #3d424a; --shade: 43 108 184; }
}
body { margin: 0 auto; padding: 1.5rem; max-width: 75rem; background: var(--paper); color: var(--ink);
  font: 1rem/1.4 system-ui, sans-serif; }
h1 { font-size: 1.3rem; margin: 0 0 .4rem; overflow-wrap: anywhere; }
h2 { font-size: 1.1rem; margin: 0; overflow-wrap: anywhere; }
section { border-top: 1px solid var(--line); margin-top: 1.25rem; padding-top: 1.25rem; }
.faint, figcaption, legend { color: var(--faint); font-size: .85rem; margin: 0; text-align: start; }
h2 + .faint { margin-bottom: .6rem; }
fieldset { border: 0; margin: 0 0 .75rem; padding: 0; min-width: 0; }
legend { padding: 0; }
label { display: inline-block; margin-inline-end: .9rem; cursor: pointer; }
.hypothesis label { display: flex; gap: .4rem; align-items: flex-start; margin-inline-end: 0; overflow-wrap: anywhere; }
.hypothesis input { flex: none; margin-top: .3rem; }
.hypothesis .faint { flex: none; line-height: 1.65; }
input { accent-color: rgb(var(--shade)); margin-inline-start: 0; }
/* All of them one below the other without the script; with it, the list says which one it is. */
fieldset[hidden] ~ article + article { margin-top: 2rem; }
.hypothesis:not([hidden]) ~ article > :is(h2, h2 + p) { display: none; }
ol { display: flex; flex-wrap: wrap; gap: .25rem; margin: .15rem 0 .6rem; padding: 0; list-style: none; }
li { min-width: 2rem; padding: .15rem .4rem 0; border: 1px solid var(--line); border-radius: .3rem; text-align: center;
  overflow-wrap: anywhere; cursor: default; }
li, td { background: rgb(var(--shade) / var(--w, 0)); }
li.shown { outline: 2px solid var(--ink); outline-offset: -1px; }
li span { display: block; height: 1.1rem; font-size: .75rem; line-height: 1; font-variant-numeric: tabular-nums; }
ol:empty::before { content: "no tokens"; color: var(--faint); }
ol:empty ~ figure { display: none; }
figure { margin: .6rem 0 0; }
.map { overflow-x: auto; }
table { border-spacing: 1px; }
th { font-weight: normal; white-space: nowrap; }
thead th { vertical-align: bottom; padding: .3rem 0; }
thead th.long { writing-mode: vertical-rl; text-align: end; vertical-align: middle; }
thead td, tbody th { position: sticky; left: 0; background: var(--paper); }
tbody th { padding: 0 .5rem; text-align: end; }
tbody td { min-width: 1.7rem; height: 1.7rem; padding: 0; text-align: center; font-size: .75rem; }
tbody td:hover { outline: 1px solid var(--ink); }
</style>
</head>
<body>
<h1>$title</h1>
<p class="faint" hidden>Point at a token, or reach it with the tab key, to see its weights.</p>
$sections
<script>
"use strict";
for (const hidden of document.querySelectorAll("[hidden]")) hidden.hidden = false;
for (const section of document.querySelectorAll("section")) {
  let source, target, weights, pointed, reached;
  const mark = (token, weight) => {
    token.style.setProperty("--w", weight);
    token.lastChild.textContent = weight && Number(weight).toFixed(2);
  };
  const show = token => {
    const row = target.indexOf(token), column = source.indexOf(token);
    source.forEach((other, i) => mark(other, row < 0 ? "" : weights[row][i]));
    target.forEach((other, i) => mark(other, column < 0 ? "" : weights[i][column]));
    for (const other of [...source, ...target]) other.classList.toggle("shown", other === token);
  };
  /* A token that was reached stays shown while the focus is in this section, as when another head is chosen for it. */
  const current = () => pointed || (section.contains(document.activeElement) ? reached : null);
  const chosen = (all, group) => {
    const number = [...section.querySelectorAll(group)].findIndex(input => input.checked);
    all.forEach((one, i) => one.hidden = i !== Math.max(number, 0));
    return all[Math.max(number, 0)];
  };
  const choose = () => {
    const article = chosen([...section.querySelectorAll("article")], ".hypothesis input");
    const map = chosen([...article.querySelectorAll("figure")], ".head input");
    [source, target] = [...article.querySelectorAll("ol")].map(tokens => [...tokens.children]);
    weights = [...map.querySelectorAll("tbody tr")].map(row =>
      [...row.querySelectorAll("td")].map(cell => cell.style.getPropertyValue("--w")));
    show(current());
  };
  section.addEventListener("change", choose);
  section.addEventListener("mouseover", event => { pointed = event.target.closest("li"); show(current()); });
  section.addEventListener("mouseleave", () => { pointed = null; show(current()); });
  section.addEventListener("focusin", event => {
    pointed = null;
    reached = event.target.closest("li") || reached;
    show(reached);
  });
  section.addEventListener("focusout", () => show(pointed));
  choose();
}
</script>
</body>
</html>
""")

# `lang=""` says that the language is not known, so that English is not assumed of the texts.
_HYPOTHESIS = string.Template("""\
<article>
<h2 lang="" dir="auto">$text</h2>
<p class="faint">$place$score</p>
<p class="faint">source</p>
<ol lang="" dir="auto">$source</ol>
<p class="faint">target</p>
<ol lang="" dir="auto">$target</ol>
$maps
</article>""")

_MAP = string.Template("""\
<figure>
<figcaption>$name in percent, source tokens across, target tokens down</figcaption>
<div class="map" tabindex="0" role="region" aria-label="$name">
<table>
<thead lang=""><tr><td></td>$columns</tr></thead>
<tbody lang="">
$rows
</tbody>
</table>
</div>
</figure>""")


class Page(str):
    """A web page: a string to be saved as UTF-8, which a notebook shows as the last line of a cell.

    There it is in a frame, in which the page's script can reach nothing of the notebook, and in which styles of the
    notebook do not hold.
    """

    def __repr__(self):
        return f"<web page of {len(self):,} characters>"

    def _repr_html_(self):
        return (
            f'<iframe srcdoc="{escape(self)}" sandbox="allow-scripts" title="Attention weights" '
            f'style="width: 100%; height: 42rem; border: 0; resize: vertical"></iframe>'
        )


def attention_page(translations, head_weights=None, title="Attention"):
    """A web page that shows where the model looked for each target token.

    Pointing at a target token, or reaching it with the tab key, shades the source tokens by its weights and shows
    the numbers; a source token does the same with the target tokens that looked at it. Below is the whole map. Spaces
    are shown as `␣`. Where there are several hypotheses or heads, the reader chooses one.

    Args:
        translations: an iterable with an element for each source: a `keras_attn.translation.Translation`, or anything
            that has its `text`, `tokens`, `source_tokens`, `score` and `attention`; or a list of such, the hypotheses of
            this source, of which the first is shown first.
        head_weights: optional function from a translation to the weights of its heads
            `(heads, target_length, source_length)`, such as `translator.head_weights`.
        title: heading of the page.

    Returns:
        `Page`, a string of HTML; in a notebook it shows itself.

    Raises:
        InputError: an attention, or that of a head, does not have a row for each target token and a column for each
            source token; an element is an empty list; or hypotheses of one source differ in the number of their heads.

    Example:
        >>> page = attention_page(translator.n_best(["25 décembre 1997"]), translator.head_weights)
        >>> pathlib.Path("attention.html").write_text(page, encoding="utf-8")
    """
    sections = [_section(number, element, head_weights) for number, element in enumerate(translations, 1)]
    return Page(_PAGE.substitute(title=escape(title), sections="\n".join(sections)))


def _section(number, element, head_weights):
    hypotheses = [element] if hasattr(element, "tokens") else list(element)
    if not hypotheses:
        raise InputError(f"Translation {number} is an empty list; give one hypothesis at least.")
    heads = [[] if head_weights is None else list(head_weights(hypothesis)) for hypothesis in hypotheses]
    if len(set(map(len, heads))) > 1:
        raise InputError(
            f"The hypotheses of translation {number} have {' and '.join(map(str, sorted(set(map(len, heads)))))} heads; "
            f"give the weights of the same heads for each."
        )
    articles = []
    for place, (hypothesis, weights) in enumerate(zip(hypotheses, heads), 1):
        where = f"hypothesis {place} of {len(hypotheses)}, " if len(hypotheses) > 1 else ""
        articles.append(_article(number, hypothesis, weights, where))
    texts = [f'<bdi lang="">{_text(each)}</bdi> <span class="faint">{_score(each)}</span>' for each in hypotheses]
    names = ["mean", *map(str, range(1, len(heads[0]) + 1))] if len(heads[0]) > 1 else []
    parts = [_choice("hypothesis", number, texts), _choice("head", number, names), *articles]
    return "<section>\n{}\n</section>".format("\n".join(filter(None, parts)))


def _choice(what, number, labels):
    """Radio buttons, which the script shows; nothing where there is nothing to choose."""
    if len(labels) < 2:
        return ""
    buttons = [
        f'<label><input type="radio" name="{what}-{number}"{"" if place else " checked"}> {label}</label>'
        for place, label in enumerate(labels)
    ]
    return f'<fieldset class="{what}" hidden>\n<legend>{what}</legend>\n' + "\n".join(buttons) + "\n</fieldset>"


def _article(number, hypothesis, heads, place):
    maps = {"All weights": hypothesis.attention}
    if len(heads) > 1:
        maps = {f"Mean weights of {len(heads)} heads": hypothesis.attention}
        maps |= {f"Weights of head {head}": weights for head, weights in enumerate(heads, 1)}
    return _HYPOTHESIS.substitute(
        text=_text(hypothesis),
        place=place,
        score=f"score {_score(hypothesis)}",
        source=_tokens(hypothesis.source_tokens),
        target=_tokens(hypothesis.tokens),
        maps="\n".join(_map(number, name, hypothesis, weights) for name, weights in maps.items()),
    )


def _map(number, name, hypothesis, attention):
    source, target = hypothesis.source_tokens, hypothesis.tokens
    widths = [len(weights) for weights in attention]
    if widths != [len(source)] * len(target):
        raise InputError(
            f"Translation {number} has {len(target)} target tokens and {len(source)} source tokens, but its attention "
            f"has {len(widths)} rows of {' or '.join(map(str, sorted(set(widths)))) or 'no'} weights; give a row for "
            f"each target token and a column for each source token."
        )
    return _MAP.substitute(
        name=name,
        columns="".join(map(_column, source)),
        rows="\n".join(_row(token, source, weights) for token, weights in zip(target, attention)),
    )


def _text(hypothesis):
    return escape(hypothesis.text) or "(empty)"


def _score(hypothesis):
    return f"{hypothesis.score:.2f}".replace("-", "−")


def _tokens(tokens):
    return "".join(f'<li tabindex="0">{_shown(token)}<span></span></li>' for token in tokens)


def _column(token):
    long = ' class="long"' if len(token) > 2 else ""  # a single character reads better upright
    return f'<th scope="col"{long}>{_shown(token)}</th>'


def _row(token, source, weights):
    cells = "".join(_cell(token, *looked_at) for looked_at in zip(source, map(float, weights)))
    return f'<tr><th scope="row">{_shown(token)}</th>{cells}</tr>'


def _cell(token, source_token, weight):
    title = f"{_shown(token)} ← {_shown(source_token)}: {weight:.4f}"
    percent = f"{100 * weight:.0f}" if weight >= 0.005 else ""
    return f'<td style="--w:{weight:.6g}" title="{title}">{percent}</td>'


def _shown(token):
    return escape(visible(token))
