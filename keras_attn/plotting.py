"""Pictures: where the model looked, how its loss fell, and how long what it reads and writes is."""

import textwrap

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.transforms import Bbox

from keras_attn.drawing import finish, font_families, in_lines, inches_wide, paper, upright_where_short
from keras_attn.errors import InputError
from keras_attn.ids import PADDING
from keras_attn.tables import in_percent, length_range, measure_name, text_width, visible

# Readable from 5 to 40 tokens: a cell never shrinks below what a label of this size needs.
_CELL_INCHES = 0.26
_LABEL_POINTS = 10
_ROWS_WITH_NUMBERS, _NUMBERS_IN_A_ROW = 16, 6
_SMALLEST_MAP_INCHES = (1.4, 0.8)
_LABELS_INCHES = (1.6, 1.2)
_MARGIN_INCHES = 0.6
_WIDE_LETTER_INCHES = 0.1
_BETWEEN_WORDS_INCHES = 0.12
_LINE_INCHES = 0.18
_AROUND_LABELS_INCHES = (0.9, 0.7)  # the colour bar, a title
_FAINTEST = 0.02
_BARS = "#4a7fb5"


def plot_attention(weights, source_tokens, target_tokens, path=None, title=None, margins=False, dark=False):
    """Draws attention weights as a heatmap, source tokens across and target tokens down.

    Tokens in scripts that matplotlib's own font lacks, such as Korean, Japanese and Chinese, are drawn with an
    installed font that has them; where there is none, a warning says which one to install.

    Args:
        weights: `(len(target_tokens), len(source_tokens))`, from 0 to 1.
        source_tokens, target_tokens: lists of strings.
        path: where to save the picture (`.png`, `.svg`, `.pdf`); `None` leaves the figure open, to be shown by
            `matplotlib.pyplot.show()` or by a notebook.
        title: optional text above the picture.
        margins: whether to draw the entropy of each target token's weights beside it (in nats, 0 where it looks at one
            position alone), and below each source token its coverage, the sum of the weights that it got.
        dark: whether to draw light on dark.

    Returns:
        The `matplotlib.figure.Figure`.

    Raises:
        InputError: the weights do not have a row for each target token and a column for each source token.

    Example:
        >>> translation, = translator.translate(["25 décembre 1997"])
        >>> plot_attention(translation.attention, translation.source_tokens, translation.tokens, path="attention.png")
    """
    panels = [(title, weights, source_tokens, target_tokens)]
    return plot_attention_grid(panels, path, margins=margins, dark=dark)


def plot_attention_grid(panels, path=None, columns=3, margins=False, dark=False):
    """Draws several heatmaps side by side: of several sentences, models, heads or layers.

    Args:
        panels: a list of `(title, weights, source_tokens, target_tokens)`, see `plot_attention`.
        columns: heatmaps in a row.
        path, margins, dark: as in `plot_attention`.

    Returns:
        The `matplotlib.figure.Figure`.

    Raises:
        InputError: as in `plot_attention`.
    """
    if not panels:
        raise InputError("There is nothing to draw; give one panel at least.")
    for _, weights, source_tokens, target_tokens in panels:
        _refuse_another_shape(weights, source_tokens, target_tokens)
    with paper(dark):
        figure = _grid(panels, min(columns, len(panels)), margins)
        return finish(figure, path)


def _grid(panels, columns, margins):
    rows = -(-len(panels) // columns)
    more = _MARGIN_INCHES if margins else 0
    wide, high = np.max([_inches(len(source), len(target)) for _, _, source, target in panels], axis=0)
    wide, high = (wide, high) + _inches_of_labels(panels) + more
    figure, axes = plt.subplots(rows, columns, layout="constrained", squeeze=False)
    characters = {
        character for panel in panels for text in (panel[0] or "", *panel[2], *panel[3]) for character in text
    }
    font = {"family": font_families(characters), "size": _LABEL_POINTS}
    titles = [in_lines(figure, panel[0] or "", wide - _AROUND_LABELS_INCHES[0], font) for panel in panels]
    figure.set_size_inches(columns * wide, rows * (high + _LINE_INCHES * max(title.count("\n") for title in titles)))
    for title, panel, place in zip(titles, panels, axes.flat):
        image = _heatmap(place, *panel[1:], font)
        place.set_title(title, **font)
        if margins:
            _draw_margins(place, np.asarray(panel[1]))
    for place in axes.flat[len(panels) :]:
        place.set_visible(False)
    figure.colorbar(image, ax=axes, label="attention weight", fraction=0.05 / columns, pad=0.02)
    return figure


def _inches(columns, rows):
    """Width and height of a map."""
    return np.maximum(np.multiply(_CELL_INCHES, (columns, rows)), _SMALLEST_MAP_INCHES)


def _inches_of_labels(panels):
    """Width and height of what stands around a map."""
    longest = lambda side: max((text_width(visible(token)) for panel in panels for token in panel[side]), default=0)
    of_source, of_target = longest(2), longest(3)
    return np.maximum(_LABELS_INCHES, np.multiply(_WIDE_LETTER_INCHES, (of_target, of_source)) + _AROUND_LABELS_INCHES)


def _refuse_another_shape(weights, source_tokens, target_tokens):
    shape = (len(target_tokens), len(source_tokens))
    if np.shape(weights) != shape:
        raise InputError(
            f"weights has the shape {np.shape(weights)}, but {shape[0]} target tokens and {shape[1]} source tokens "
            f"need {shape}."
        )


def _heatmap(axes, weights, source_tokens, target_tokens, font):
    weights = np.asarray(weights)
    if not weights.size:  # what has no rows or no columns cannot be drawn: one without weight stands in
        weights = np.zeros([max(length, 1) for length in weights.shape])
    image = axes.imshow(weights, vmin=0, vmax=1, aspect="auto")
    for ticks, tokens in ((axes.set_xticks, source_tokens), (axes.set_yticks, target_tokens)):
        ticks(range(len(tokens)), [visible(token) for token in tokens], **font)
        ticks([position + 0.5 for position in range(len(tokens) - 1)], minor=True)
    axes.tick_params(length=0, top=True, labeltop=True, bottom=False, labelbottom=False)
    upright_where_short(axes.get_xticklabels())
    axes.grid(which="minor", alpha=0.4, linewidth=0.5)
    axes.tick_params(which="minor", length=0)
    axes.spines[:].set_visible(False)
    return image


def _draw_margins(axes, weights):
    """Bars along the right and the lower edge: entropy of the rows, coverage of the columns."""
    rows, columns = weights.shape
    positive = np.where(weights > 0, weights, 1)
    right, below = (_beside(axes, side) for side in ("right", "below"))
    right.barh(range(rows), -(positive * np.log(positive)).sum(axis=1), color=_BARS, height=0.7)
    right.set(ylim=axes.get_ylim(), yticks=[], xlim=(0, max(np.log(max(columns, 2)), 0.1)), xlabel="entropy")
    coverage = weights.sum(axis=0)
    below.bar(range(columns), coverage, color=_BARS, width=0.7)
    below.set(xlim=axes.get_xlim(), xticks=[], ylim=(0, 1.05 * max(coverage.max(initial=0), 0.1)), ylabel="coverage")
    for panel in (right, below):
        panel.spines[["top", "right"]].set_visible(False)
        panel.tick_params(labelsize=_LABEL_POINTS - 2)


def _beside(axes, side):
    """A panel along one side of a map, as deep in inches however large the layout makes the map."""

    def place(panel, renderer):
        left, bottom, right, top = axes.get_position().extents
        wide, high = np.array([_MARGIN_INCHES, _MARGIN_INCHES]) / axes.figure.get_size_inches()
        if side == "right":
            return Bbox.from_extents(right + 0.1 * wide, bottom, right + 1.1 * wide, top)
        return Bbox.from_extents(left, bottom - 1.1 * high, right, bottom - 0.1 * high)

    panel = axes.inset_axes([0, 0, 1, 1], facecolor="none")  # the labels of one may reach into the other
    panel.set_axes_locator(place)
    return panel


def plot_alignment(weights, source_tokens, target_tokens, path=None, title=None, dark=False):
    """Draws attention as lines between the two sentences, the thicker the larger the weight: for reading rather than
    for measuring.

    Args:
        weights, source_tokens, target_tokens, path, title, dark: as in `plot_attention`; weights below 0.02 are left out.

    Returns:
        The `matplotlib.figure.Figure`.

    Raises:
        InputError: as in `plot_attention`.
    """
    weights = np.asarray(weights)
    _refuse_another_shape(weights, source_tokens, target_tokens)
    font = {"family": font_families(set("".join([title or "", *source_tokens, *target_tokens]))), "size": _LABEL_POINTS}
    with paper(dark):
        figure, axes = plt.subplots(layout="constrained")
        lines = [_places(figure, tokens, font) for tokens in (target_tokens, source_tokens)]
        width = max(1.0, *(length for _, length in lines))
        title = in_lines(figure, title or "", width, font)
        figure.set_size_inches(0.4 + width, 2.0 + _LINE_INCHES * len(title.splitlines()))
        target_places, source_places = (places + (width - length) / 2 for places, length in lines)
        for row, tokens, places in ((0, target_tokens, target_places), (1, source_tokens, source_places)):
            beside = {"xytext": (0, 4 if row else -4), "textcoords": "offset points", "va": "bottom" if row else "top"}
            for token, place in zip(tokens, places):
                axes.annotate(visible(token), (place, row), ha="center", **beside, **font)
        for target, source in zip(*np.nonzero(weights >= _FAINTEST)):
            weight = float(weights[target, source])
            thickness = {"linewidth": 0.3 + 4 * weight, "alpha": 0.25 + 0.75 * min(weight, 1)}
            axes.plot([target_places[target], source_places[source]], [0, 1], color=_BARS, **thickness)
        axes.set(xlim=(0, width), ylim=(-0.3, 1.3))
        axes.set_axis_off()
        axes.set_title(title, **font)
        return finish(figure, path)


def _places(figure, tokens, font):
    """The middle of each token in a line of them, and the length of the line, both in inches."""
    widths = np.array([inches_wide(figure, visible(token), font) + _BETWEEN_WORDS_INCHES for token in tokens])
    return np.cumsum(widths) - widths / 2, widths.sum()


def plot_loss(history, path=None):
    """Draws how the losses of training and validation went, epoch by epoch.

    Args:
        history: a dictionary of lists with `loss` and, if there was a validation, `val_loss`, as `fit` returns in
            its `history`.
        path: as in `plot_attention`.

    Returns:
        The `matplotlib.figure.Figure`.
    """
    figure, axes = plt.subplots(figsize=(6, 3.5), layout="constrained")
    for name, label in (("loss", "training"), ("val_loss", "validation")):
        if name in history:
            axes.plot(range(1, len(history[name]) + 1), history[name], marker="o", markersize=3, label=label)
    axes.set(xlabel="epoch", ylabel="loss (nats per token)")
    axes.xaxis.get_major_locator().set_params(integer=True)
    if min(history["loss"]) < 0.1:  # a loss that falls by decades is a flat line on a linear scale
        axes.set_yscale("log")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    return finish(figure, path)


def plot_buckets(batches, path=None):
    """Draws how long the sequences of each batch are, and how much of it is padding.

    Args:
        batches: an iterable of `({"source": ids, "target": ids}, labels)`, gone through once, such as one epoch of what
            `keras_attn.data.batches` returns.
        path: as in `plot_attention`.

    Returns:
        The `matplotlib.figure.Figure`, with a panel for the sources and one for the targets: over the batches, from the
        shortest to the longest, the length that they are padded to and the mean of the lengths without padding.

    Raises:
        InputError: there is no batch.
    """
    masks = [{side: np.asarray(ids) != PADDING for side, ids in inputs.items()} for inputs, _ in batches]
    if not masks:
        raise InputError("There is no batch to draw; give at least one.")
    figure, panels = plt.subplots(1, 2, figsize=(8, 3.2), layout="constrained")
    for axes, side in zip(panels, ("source", "target")):
        both = sorted((mask[side].shape[1], mask[side].sum(axis=1).mean()) for mask in masks)
        padded, real = np.array(both).T
        share = 1 - sum(mask[side].sum() for mask in masks) / sum(mask[side].size for mask in masks)
        batch = range(1, len(masks) + 1)
        axes.fill_between(batch, padded, real, color="#dcdcdc", step="mid", label="padding")
        axes.step(batch, real, color=_BARS, where="mid", label="mean length")
        axes.set(title=f"{side}: {100 * share:.1f} % padding", xlabel="batch", ylabel="tokens", ylim=(0, None))
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.spines[["top", "right"]].set_visible(False)
    panels[0].legend(frameon=False, loc="upper left")
    return finish(figure, path)


def plot_by_length(rows_by_system, measure, path=None):
    """Draws how well one or more systems do on short and on long sources, and how many sources of each length there are.

    Args:
        rows_by_system: a dictionary from a system's name to what `keras_attn.evaluation.by_length` returned for it, all
            with the same ranges of lengths: `{"with attention": rows, "without": rows}`.
        measure: which of the measures in these rows to draw.
        path: as in `plot_attention`.

    Returns:
        The `matplotlib.figure.Figure`.

    Raises:
        InputError: the measure is not in the rows, or the systems have different ranges.

    Source: Bahdanau et al. 2015, figure 2, has the same picture of BLEU.
    """
    ranges = _ranges(rows_by_system, measure)
    sources = [row["sources"] for row in next(iter(rows_by_system.values()))]
    scale, unit = (100, " (%)") if in_percent(measure) else (1, "")
    figure, (axes, below) = plt.subplots(2, 1, figsize=(6, 4), sharex=True, layout="constrained", height_ratios=(5, 1))
    for name, rows in rows_by_system.items():
        axes.plot([scale * row[measure] for row in rows], marker="o", markersize=5, label=name, clip_on=False)
    axes.set_ylabel(measure_name(measure) + unit)
    axes.set_ylim(0, 1.08 * max(axes.dataLim.ymax, 0.1))
    axes.grid(alpha=0.3)
    figure.legend(loc="outside upper center", ncols=3, frameon=False)
    bars = below.bar(range(len(ranges)), sources, width=0.6, color="#dcdcdc")
    below.bar_label(bars, [f"{number:,}" for number in sources], color="#606060", fontsize=_LABEL_POINTS - 2)
    below.set(xlabel="source length (tokens)", ylabel="sources", yticks=[], ylim=(0, 1.7 * max(sources)))
    below.set_xticks(range(len(ranges)), ranges)
    axes.tick_params(length=0, axis="x")
    for panel in (axes, below):
        panel.spines[["top", "right"]].set_visible(False)
    return finish(figure, path)


def _ranges(rows_by_system, measure):
    """The ranges of source lengths that all systems have, in words."""
    ranges = None
    for name, rows in rows_by_system.items():
        if measure not in rows[0]:
            raise InputError(f"The rows of {name!r} have no {measure!r}; they have {', '.join(list(rows[0])[3:])}.")
        own = [length_range(row) for row in rows]
        ranges = ranges or own
        if own != ranges:
            raise InputError(
                f"The rows of {name!r} have the source lengths {', '.join(own)}, others have {', '.join(ranges)}; measure "
                f"all systems on the same sources."
            )
    return ranges


def plot_explanation(explanation, path=None):
    """Draws the steps of an attention side by side, a row for each source position.

    The panels: query and keys, scores, attention weights, alignment vectors, context vector. Blue is above zero, red
    below.

    Args:
        explanation: `keras_attn.explain.Explanation`.
        path: as in `plot_attention`.

    Returns:
        The `matplotlib.figure.Figure`.
    """
    with paper(dark=False):
        return finish(_explained(explanation), path)


def _explained(explanation):
    rows = len(explanation.keys)
    tokens = [visible(token) for token in explanation.source_tokens or ()]
    tokens = tokens or [f"position {row}" for row in range(rows)]
    keys, alignment_vectors = np.asarray(explanation.keys), np.asarray(explanation.alignment_vectors)
    font = {"family": font_families(set("".join(tokens))), "size": _LABEL_POINTS}
    figure, panels = plt.subplots(
        1, 5, figsize=(13, max(2.2, 1.4 + 0.3 * rows)), sharey=True, layout="constrained", width_ratios=(3, 2, 2, 3, 3)
    )
    same_size = keys.shape[1] == len(explanation.query)
    _matrix(panels[0], {-1.5: explanation.query, **dict(enumerate(keys))} if same_size else dict(enumerate(keys)))
    for panel, heights in ((panels[1], explanation.scores), (panels[2], explanation.weights)):
        panel.barh(range(rows), heights, color=_BARS, height=0.7)
        panel.spines[["top", "right"]].set_visible(False)
        panel.axvline(0, color="#808080", linewidth=0.8)
        for row, height in enumerate(heights) if rows <= _ROWS_WITH_NUMBERS else ():
            panel.annotate(f"{height:.3g}", (max(height, 0), row), (3, 0), textcoords="offset points", va="center")
        panel.margins(x=0.35)
    _matrix(panels[3], dict(enumerate(alignment_vectors)))
    _matrix(panels[4], {(rows - 1) / 2: explanation.context})
    titles = (
        "query and keys" if same_size else "keys",
        f"1. score\n{explanation.score_formula}",
        f"2. weight\n{explanation.weight_formula}",
        "3. alignment vectors\nweight × value",
        "4. context vector\ntheir sum",
    )
    for panel, title in zip(panels, titles):
        panel.set_title("\n".join(textwrap.wrap(title, 30)) if "\n" not in title else title, fontsize=_LABEL_POINTS)
        panel.tick_params(length=0)
    labels = [(-1.5, "query"), *enumerate(tokens)] if same_size else list(enumerate(tokens))
    panels[0].set_yticks(*zip(*labels), **font)
    panels[0].set_ylim(rows - 0.4, -2.1)
    return figure


def _matrix(axes, vectors):
    """Draws vectors as rows of coloured cells, each at its height, with their numbers where they are few."""
    largest = max(np.abs(vector).max() for vector in vectors.values()) or 1
    for height, vector in vectors.items():
        extent = (-0.5, len(vector) - 0.5, height + 0.5, height - 0.5)
        axes.imshow(np.atleast_2d(vector), cmap="RdBu", vmin=-largest, vmax=largest, aspect="auto", extent=extent)
        for column, number in enumerate(vector) if len(vector) <= _NUMBERS_IN_A_ROW else ():
            color = "white" if abs(number) > 0.6 * largest else "black"
            axes.text(
                column, height, f"{number:.3g}", ha="center", va="center", color=color, fontsize=_LABEL_POINTS - 1
            )
    axes.set_xlim(-0.5, max(map(len, vectors.values())) - 0.5)
    axes.set_xticks([])
    axes.spines[:].set_visible(False)
