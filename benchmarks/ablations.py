"""What each part of a recipe is worth: the recipe, and the same with one thing changed, all small and for a few epochs.

    python -m benchmarks.ablations --json ablations.json --plot by-length.svg
    python -m benchmarks.ablations --only recipe,no-attention,words --epochs 6

BLEU is that of the validation set, greedily and with a beam of five; the recipe itself is decoded with other beams too.
Each row learns from the same batches, if its text is cut in the same way. With --plot, BLEU by the length of the source
is drawn for the recipe and for the same without attention.
"""

import sys
import time

from benchmarks.common import Skipped, add_only, at_least, parser, report
from benchmarks.recipes import RECIPES, learned, recipe

_WORDS = {"source_unit": "words", "target_unit": "words", "vocabulary_size": 10_000}
_OWN_VOCABULARIES = {"shared_vocabulary": False, "tied_embeddings": False}

CHANGES = {
    "recipe": {},
    "no-attention": {"wiring": "none"},
    "score-dot": {"attention": "dot"},
    "score-general": {"attention": "general"},
    "score-cosine": {"attention": "cosine"},
    "score-additive": {"attention": "additive"},
    "score-normalized-additive": {"attention": "normalized-additive"},
    "score-location": {"attention": "location"},
    "four-heads": {"heads": 4},
    "alignment-local-p": {"alignment": "local-p"},
    "alignment-monotonic": {"alignment": "monotonic"},
    "input-feeding": {"input_feeding": True},
    "wiring-bahdanau": {"wiring": "bahdanau"},
    "wiring-gnmt": {"wiring": "gnmt", "layers": 2},
    "two-layers": {"layers": 2},
    "lstm": {"cell": "lstm"},
    "one-direction": {"bidirectional": "none"},
    "words": _WORDS | _OWN_VOCABULARIES,
    "own-vocabularies": _OWN_VOCABULARIES,
    "nothing-tied": {"tied_softmax": False, "tied_embeddings": False},
    "no-dropout": {"dropout": 0.0},
    "no-weight-decay": {"weight_decay": 0.0},
    "no-label-smoothing": {"label_smoothing": 0.0},
    "token-dropout": {"token_dropout": 0.1},
    "recurrent-dropout": {"recurrent_dropout": 0.2},
    "layer-normalization": {"layer_normalization": True},
    "moving-averages": {"ema": 0.99},  # over about a hundred batches, of which there are not many
}
# Recipes of which BLEU says how good they are.
_OF_TEXT = [name for name in RECIPES if name.startswith(("multi30k", "tatoeba"))]

_WIDTHS = (1, 5)
_MORE_WIDTHS = (2, 10, 20)
_IN_A_HURRY = ("recipe", "no-attention", "words")


def main():
    command = parser(__doc__, rounds=None)
    command.add_argument("--recipe", choices=_OF_TEXT, default="multi30k-en-de", help="(default: multi30k-en-de)")
    command.add_argument("--data", metavar="FOLDER", help="where its files are, or folders with them")
    command.add_argument("--epochs", type=at_least(1), default=3, help="of each row (default: 3)")
    command.add_argument("--units", type=at_least(1), default=256, help="of each row (default: 256)")
    command.add_argument("--plot", metavar="FILE", help="draw BLEU by the length of the source")
    add_only(command, CHANGES)
    options = command.parse_args()
    names = options.only or (_IN_A_HURRY if options.quick else CHANGES)
    if options.plot and not {"recipe", "no-attention"} <= set(names):
        command.error("--plot compares recipe and no-attention; name both with --only, or leave one of the two out")
    size = {"epochs": options.epochs, "units": options.units, "embedding_units": options.units, "seed": options.seed}
    if options.quick:
        size |= {"epochs": 1, "pairs": 300, "units": 16, "embedding_units": 16, "vocabulary_size": 500}
    rows, curves, signature = [], {}, None
    for name in names:
        try:
            config = recipe(options.recipe, options.data, **{**size, **CHANGES[name]})
        except Skipped as reason:
            print(f"skipped: {name}: {reason}", file=sys.stderr)
            continue
        more_widths = name == "recipe" and not options.quick
        row, curves[name], signature = measured(config, _WIDTHS + (_MORE_WIDTHS if more_widths else ()))
        rows.append({"name": name, **row})
        print(rows[-1], file=sys.stderr)
    report(rows, options, by_length=curves, signature=signature)
    print(signature)
    if options.plot:
        from keras_attn.plotting import plot_by_length

        shown = {"recipe": "with attention", "no-attention": "without"}
        plot_by_length({label: curves[name] for name, label in shown.items()}, "bleu", options.plot)


def measured(config, widths):
    """The row of one configuration, its BLEU by the length of the source with the usual beam, and BLEU's signature."""
    import dataclasses

    from keras_attn.evaluation import by_length
    from keras_attn.training.measuring import measured as measured_outputs
    from keras_attn.training.measuring import with_beam
    from keras_attn.training.preparing import sources_and_references
    from keras_attn.translator import Translator

    started = time.perf_counter()
    model, texts, parts, history = learned(config)
    seconds = time.perf_counter() - started
    translator = Translator(model, *texts)
    sources, references = sources_and_references(parts.validation)
    lengths = [len(source.split()) for source in sources]
    row = {"parameters": model.count_params(), "seconds": round(seconds), "loss": history["val_loss"][-1]}
    for width in widths:
        search = with_beam(translator, dataclasses.replace(config, beam=width))
        translations = search.translate(sources)
        quality = measured_outputs(config, references, translations, texts[1])
        row[f"beam_{width}"] = quality["bleu"]
        if width == _WIDTHS[-1]:  # which all configurations have
            outputs = [translation.text for translation in translations]
            curve = by_length(outputs, references, lengths, ["bleu"], tokenizer=config.bleu_tokenizer)
    return row, curve, quality["bleu_signature"]


if __name__ == "__main__":
    sys.exit(main())
