"""Where the model looked, as a web page of its own: point at a token to see its weights.

The page loads nothing and runs without a network. Without its script it still shows every weight, in a table, and the
script reads the weights from there: no text of the user's is ever inside it.
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
h1 { font-size: 1.3rem; }
h2 { font-size: 1.1rem; margin: 0; overflow-wrap: anywhere; }
section { border-top: 1px solid var(--line); margin-top: 1.25rem; padding-top: 1.25rem; }
.faint, caption { color: var(--faint); font-size: .85rem; margin: 0; text-align: start; }
h2 + .faint { margin-bottom: .6rem; }
ol { display: flex; flex-wrap: wrap; gap: .25rem; margin: .15rem 0 .6rem; padding: 0; list-style: none; }
li { min-width: 2rem; padding: .15rem .4rem 0; border: 1px solid var(--line); border-radius: .3rem; text-align: center;
  overflow-wrap: anywhere; cursor: default; }
li, td { background: rgb(var(--shade) / var(--w, 0)); }
li:hover, li:focus { outline: 2px solid var(--ink); outline-offset: -1px; }
li span { display: block; height: 1.1rem; font-size: .75rem; line-height: 1; font-variant-numeric: tabular-nums; }
ol:empty::before { content: "no tokens"; color: var(--faint); }
ol:empty ~ .map { display: none; }
.map { overflow-x: auto; margin-top: .6rem; }
table { border-spacing: 1px; }
caption { width: 0; white-space: nowrap; }
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
<p class="faint">Point at a token, or reach it with the tab key, to see its weights.</p>
$sections
<script>
"use strict";
for (const section of document.querySelectorAll("section")) {
  const [source, target] = section.querySelectorAll("ol");
  const weights = [...section.querySelectorAll("tbody tr")].map(row =>
    [...row.querySelectorAll("td")].map(cell => cell.style.getPropertyValue("--w")));
  const mark = (token, weight) => {
    token.style.setProperty("--w", weight);
    token.lastChild.textContent = weight && Number(weight).toFixed(2);
  };
  const show = token => {
    const row = [...target.children].indexOf(token), column = [...source.children].indexOf(token);
    [...source.children].forEach((other, i) => mark(other, row < 0 ? "" : weights[row][i]));
    [...target.children].forEach((other, i) => mark(other, column < 0 ? "" : weights[i][column]));
  };
  const focused = () => document.activeElement.closest("li");
  section.addEventListener("mouseover", event => show(event.target.closest("li") || focused()));
  section.addEventListener("mouseleave", () => show(focused()));
  section.addEventListener("focusin", () => show(focused()));
  section.addEventListener("focusout", () => show(null));
}
</script>
</body>
</html>
""")

# `lang=""` says that the language is not known, so that English is not assumed of the texts.
_SECTION = string.Template("""\
<section>
<h2 lang="" dir="auto">$text</h2>
<p class="faint">score $score</p>
<p class="faint">source</p>
<ol lang="" dir="auto">$source</ol>
<p class="faint">target</p>
<ol lang="" dir="auto">$target</ol>
<div class="map" tabindex="0" role="region" aria-label="Weights">
<table>
<caption>All weights in percent, source tokens across, target tokens down</caption>
<thead lang=""><tr><td></td>$columns</tr></thead>
<tbody lang="">
$rows
</tbody>
</table>
</div>
</section>""")


def attention_page(translations, title="Attention"):
    """A web page that shows where the model looked for each target token.

    Pointing at a target token, or reaching it with the tab key, shades the source tokens by its weights and shows
    the numbers; a source token does the same with the target tokens that looked at it. Below is the whole map. Spaces
    are shown as `␣`.

    Args:
        translations: an iterable of `keras_attn.translator.Translation`, or of anything that has its `text`, `tokens`,
            `source_tokens`, `score` and `attention`.
        title: heading of the page.

    Returns:
        HTML, a string to be saved as UTF-8.

    Raises:
        InputError: the attention of a translation does not have a row for each of its target tokens and a column for
            each of its source tokens.

    Example:
        >>> page = attention_page(translator.translate(["25 décembre 1997"]))
        >>> pathlib.Path("attention.html").write_text(page, encoding="utf-8")
    """
    sections = [_section(number, translation) for number, translation in enumerate(translations, 1)]
    return _PAGE.substitute(title=escape(title), sections="\n".join(sections))


def _section(number, translation):
    source, target, attention = translation.source_tokens, translation.tokens, translation.attention
    widths = [len(weights) for weights in attention]
    if widths != [len(source)] * len(target):
        raise InputError(
            f"Translation {number} has {len(target)} target tokens and {len(source)} source tokens, but its attention "
            f"has {len(widths)} rows of {' or '.join(map(str, sorted(set(widths)))) or 'no'} weights; give a row for "
            f"each target token and a column for each source token."
        )
    return _SECTION.substitute(
        text=escape(translation.text) or "(empty)",
        score=f"{translation.score:.2f}".replace("-", "−"),
        source=_tokens(source),
        target=_tokens(target),
        columns="".join(map(_column, source)),
        rows="\n".join(_row(token, source, weights) for token, weights in zip(target, attention)),
    )


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
