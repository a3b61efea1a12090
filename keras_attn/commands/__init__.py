"""The commands, one file each.

A file has `HELP`, one sentence; `EXAMPLES`, lines that work as they are printed; `add_options(command)`, which adds to an
`argparse` parser; and `run(options)`. It imports what needs Keras or TensorFlow when it runs, so that help is quick.
"""

COMMANDS = (
    "train",
    "translate",
    "evaluate",
    "score",
    "rescore",
    "align",
    "attend",
    "explain",
    "compare",
    "average",
    "shortlist",
    "export",
    "info",
    "demo",
)
