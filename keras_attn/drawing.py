"""What all pictures share: light and dark paper, fonts that have the characters, and how they are saved."""

import contextlib
import pathlib
import textwrap
import warnings

import matplotlib
import matplotlib.pyplot as plt
from matplotlib import font_manager, ft2font
from matplotlib.colors import LinearSegmentedColormap

from keras_attn.errors import InputError
from keras_attn.files import written_whole

_DARK_PAPER, _DARK_INK = "#15171b", "#e6e6e6"
_DARK = {
    "text.parse_math": False,  # dollar signs are tokens like others
    **{f"{part}.facecolor": _DARK_PAPER for part in ("figure", "axes", "savefig")},
    **dict.fromkeys(("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"), _DARK_INK),
    "grid.color": "#3a3d44",
    "image.cmap": "keras_attn_dark",
}
_LIGHT = {"text.parse_math": False, "image.cmap": "Blues"}

matplotlib.colormaps.register(
    LinearSegmentedColormap.from_list("keras_attn_dark", [_DARK_PAPER, "#1f4e79", "#4a90d9", "#d6e8ff"]), force=True
)


@contextlib.contextmanager
def paper(dark):
    """All figures that are made meanwhile are light on dark or, without it, dark on light."""
    with plt.rc_context(_DARK if dark else _LIGHT):
        yield


def upright_where_short(labels):
    """Turns the labels below or above a picture but those of a character or two, which read better upright."""
    for label in labels:
        if len(label.get_text()) > 2:
            label.set_rotation(90)


def inches_wide(figure, text, font):
    """How wide a line of text in this font (keywords of a text) is in the figure."""
    drawn = figure.text(0, 0, text, **font)
    width = drawn.get_window_extent().width / figure.dpi
    drawn.remove()
    return width


def in_lines(figure, text, inches, font):
    """The lines of the text, in as many as it takes for none to be much wider than that."""
    shares = [(line, inches / max(inches_wide(figure, line, font), inches)) for line in text.splitlines()]
    return "\n".join(textwrap.fill(line, max(1, int(share * len(line)))) for line, share in shares)


def finish(figure, path):
    """Saves the figure and closes it, or leaves it open where there is no path."""
    if path is not None:
        ending = pathlib.Path(path).suffix.lstrip(".").lower()
        known = figure.canvas.get_supported_filetypes()
        if ending and ending not in known:
            raise InputError(f"{path} ends in .{ending}, but a picture can only be {', '.join(sorted(known))}.")
        with warnings.catch_warnings():
            # A missing glyph has been told once, in words that say what to install.
            warnings.filterwarnings("ignore", message="Glyph .* missing from")
            with written_whole(path) as unfinished:
                figure.savefig(unfinished, dpi=150)
        plt.close(figure)
    return figure


def font_families(characters):
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
