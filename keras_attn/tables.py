"""Tables of results in Markdown, which read as well in a terminal."""

import unicodedata

_VISIBLE_SPACE = "␣"

_POINTS = {"bleu": "BLEU", "chrf": "chrF"}


def visible(token):
    """The token with its spaces to be seen."""
    return token.replace(" ", _VISIBLE_SPACE)


def text_width(text):
    """Columns that a terminal needs: two for a Korean, Japanese or Chinese character."""
    return sum(1 + (unicodedata.east_asian_width(character) in "WF") for character in text)


def markdown_table(cells):
    """A table whose columns are each as wide as their longest cell.

    Args:
        cells: a list of rows, each a list of as many strings; the first row is the heading.

    Returns:
        The lines of the table in one string.
    """
    widths = [max(len(row[column]) for row in cells) for column in range(len(cells[0]))]
    lines = [cells[0], ["-" * width for width in widths], *cells[1:]]
    return "\n".join("| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths)) + " |" for row in lines)


def results_table(results, intervals=None, paired=None):
    """What was measured, a row for each measure, and below it how BLEU and chrF were measured.

    Args:
        results: what `keras_attn.evaluation.measure` returned.
        intervals: what `keras_attn.significance.confidence_intervals` returned, for the same measures.
        paired: what `keras_attn.significance.paired_test` returned, for the same measures.

    Returns:
        A table in Markdown, followed by sacrebleu's signatures; rates are shown in percent.
    """
    signatures = [name for name in results if name.endswith("_signature")]
    heading = ["measure", "value"]
    heading += ["confidence interval"] if intervals else []
    heading += ["difference", "p-value"] if paired else []
    cells = [heading]
    for name in results:
        if name in signatures:
            continue
        row = [measure_name(name), shown(name, results[name])]
        if intervals:
            row.append(" to ".join(shown(name, bound) for bound in intervals[name]))
        if paired:
            row += [shown(name, paired[name]["difference"], sign="+"), f"{paired[name]['p_value']:.4f}"]
        cells.append(row)
    notes = [f"{measure_name(name.removesuffix('_signature'))}: {results[name]}" for name in signatures]
    return "\n\n".join([markdown_table(cells), *notes])


def length_table(rows):
    """What was measured for sources of each length.

    Args:
        rows: what `keras_attn.evaluation.by_length` returned.

    Returns:
        A table in Markdown, a row for each range of lengths.
    """
    measures = [name for name in rows[0] if name not in ("from", "to", "sources")]
    cells = [["source length", "sources", *map(measure_name, measures)]]
    for row in rows:
        cells.append([length_range(row), f"{row['sources']:,}", *(shown(name, row[name]) for name in measures)])
    return markdown_table(cells)


def measure_name(name):
    """A measure as it is called in tables and pictures: `BLEU`, `word error rate`."""
    return _POINTS.get(name, name.replace("_", " "))


def in_percent(name):
    """Whether a measure is a share or a rate, shown in percent, and not one of sacrebleu's, from 0 to 100 by itself."""
    return name not in _POINTS


def shown(name, value, sign=""):
    """The value of a measure for a reader: BLEU and chrF in points, everything else in percent."""
    return f"{100 * value:{sign}.2f} %" if in_percent(name) else f"{value:{sign}.2f}"


def length_range(row):
    """The source lengths of a row of `keras_attn.evaluation.by_length`: `11–20`, or `7` where there is but one."""
    return f"{row['from']}–{row['to']}" if row["from"] < row["to"] else str(row["from"])
