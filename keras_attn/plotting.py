"""Pictures: where the model looked, and how its loss fell."""

import warnings

import matplotlib
import matplotlib.pyplot as plt
from matplotlib import font_manager, ft2font

# Readable from 5 to 40 tokens: a cell never shrinks below what a label of this size needs.
_CELL_INCHES = 0.26
_LABEL_POINTS = 10
_VISIBLE_SPACE = "␣"


def plot_attention(weights, source_tokens, target_tokens, path=None, title=None):
    """Draws attention weights as a heatmap, source tokens across and target tokens down.

    Tokens in scripts that matplotlib's own font lacks, such as Korean, Japanese and Chinese, are drawn with an
    installed font that has them; where there is none, a warning says which one to install.

    Args:
        weights: `(len(target_tokens), len(source_tokens))`, from 0 to 1.
        source_tokens, target_tokens: lists of strings.
        path: where to save the picture (`.png`, `.svg`, `.pdf`); `None` leaves the figure open, to be shown by
            `matplotlib.pyplot.show()` or by a notebook.
        title: optional text above the picture.

    Returns:
        The `matplotlib.figure.Figure`.

    Raises:
        ValueError: the weights do not have a row for each target token and a column for each source token.

    Example:
        >>> translation, = translator.translate(["25 décembre 1997"])
        >>> plot_attention(translation.attention, translation.source_tokens, translation.tokens, path="attention.png")
    """
    shape = (len(target_tokens), len(source_tokens))
    if tuple(weights.shape) != shape:
        raise ValueError(
            f"weights has the shape {tuple(weights.shape)}, but {shape[0]} target tokens and {shape[1]} source tokens "
            f"need {shape}."
        )
    labels = [[token.replace(" ", _VISIBLE_SPACE) for token in tokens] for tokens in (source_tokens, target_tokens)]
    font = {"family": _font_families(set("".join([*labels[0], *labels[1], title or ""]))), "size": _LABEL_POINTS}
    size = (max(3, 1.6 + _CELL_INCHES * shape[1]), max(2, 1.2 + _CELL_INCHES * shape[0]))
    figure, axes = plt.subplots(figsize=size, layout="constrained")
    image = axes.imshow(weights, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    axes.set_xticks(range(shape[1]), labels[0], **font)
    axes.set_yticks(range(shape[0]), labels[1], **font)
    axes.tick_params(length=0, top=True, labeltop=True, bottom=False, labelbottom=False)
    for label in axes.get_xticklabels():
        if len(label.get_text()) > 2:  # a single character reads better upright
            label.set_rotation(90)
    axes.set_xticks([column + 0.5 for column in range(shape[1] - 1)], minor=True)
    axes.set_yticks([row + 0.5 for row in range(shape[0] - 1)], minor=True)
    axes.grid(which="minor", color="#e8e8e8", linewidth=0.5)
    axes.tick_params(which="minor", length=0)
    axes.spines[:].set_visible(False)
    figure.colorbar(image, ax=axes, label="attention weight", fraction=0.05, pad=0.02)
    if title:
        axes.set_title(title, **font)
    return _finish(figure, path)


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
    return _finish(figure, path)


def _finish(figure, path):
    if path is not None:
        with warnings.catch_warnings():
            # A missing glyph has been told once, in words that say what to install.
            warnings.filterwarnings("ignore", message="Glyph .* missing from")
            figure.savefig(path, dpi=150)
        plt.close(figure)
    return figure


def _font_families(characters):
    """Matplotlib's font families, followed by installed ones for the characters that those cannot draw."""
    families = list(matplotlib.rcParams["font.family"])
    characters = {character for character in characters if not character.isspace()}
    missing = characters - _glyphs(font_manager.findfont(font_manager.FontProperties(family=families)))
    if missing:
        _notice_new_fonts()
    candidates = {font.name: font.fname for font in font_manager.fontManager.ttflist} if missing else {}
    while missing and candidates:
        # The font that draws the most of them; among equals a plain sans serif, then the first by name.
        covered = {name: len(missing & _glyphs(file)) for name, file in candidates.items()}
        best = max(sorted(candidates), key=lambda name: (covered[name], "Sans" in name, "Mono" not in name))
        if not covered[best]:
            break
        families.append(best)
        missing -= _glyphs(candidates.pop(best))
    if missing:
        warnings.warn(
            f"No installed font can draw {''.join(sorted(missing)[:10])!r}; install one that can, for example Noto "
            f"Sans CJK (Debian and Ubuntu: apt install fonts-noto-cjk).",
            stacklevel=3,
        )
    return families


def _notice_new_fonts():
    """Matplotlib lists the fonts once and for all; one installed since is added here."""
    known = {font.fname for font in font_manager.fontManager.ttflist}
    for file in font_manager.findSystemFonts():
        if file not in known:
            try:
                font_manager.fontManager.addfont(file)
            except (RuntimeError, OSError):
                continue  # a file that is no font after all


_glyphs_of_file = {}


def _glyphs(file):
    """The characters that a font file can draw."""
    if file not in _glyphs_of_file:
        try:
            _glyphs_of_file[file] = set(map(chr, ft2font.FT2Font(file).get_charmap()))
        except (RuntimeError, OSError):
            _glyphs_of_file[file] = set()
    return _glyphs_of_file[file]
