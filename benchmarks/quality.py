"""Whether the recipes still learn as well as they did: the validation loss of a short training, beside the stored one.

    python -m benchmarks.quality --quick
    python -m benchmarks.quality --recipe dates --store

Each recipe is trained for a few epochs on a part of its pairs (--quick: about a minute each), and its validation loss after
the last epoch is compared with that in `benchmarks/curves/RECIPE.json`. Another machine or release of TensorFlow rounds
differently, which can be worth a fifth after the first epoch, but no more than a percent or two after the last, or some
ten-thousandths of a nat where hardly any loss is left (dates). A loss that is more than --tolerance and a thousandth of a nat
above the stored one ends the command with status 1. --store writes the curves instead, after a change that is meant to
change them. A recipe without a curve of that size and seed is skipped; of --quick and the seed 0, all have one.
"""

import json
import sys
import time

from benchmarks.common import ROOT, Skipped, machine, parser, report, versions
from benchmarks.recipes import RECIPES, learned, recipe

CURVES = ROOT / "benchmarks" / "curves"

# Pairs to train on and passes over them, of --quick and without.
_SIZES = {"quick": (6_000, 4), "full": (20_000, 6)}

# What a loss near zero may differ by, in nats.
_CHANCE = 0.001


def main():
    command = parser(__doc__, rounds=None)
    command.add_argument("--recipe", choices=RECIPES, help="one recipe alone")
    command.add_argument("--data", metavar="FOLDER", help="where the recipes' files are, or folders with them")
    command.add_argument("--tolerance", type=float, default=0.03, help="of the loss, as a share (default: 0.03)")
    command.add_argument("--store", action="store_true", help="write the curves instead of comparing with them")
    options = command.parse_args()
    size = "quick" if options.quick else "full"
    rows = []
    for name in [options.recipe] if options.recipe else RECIPES:
        path = CURVES / f"{name}.json"
        try:
            stored = None if options.store else _stored(path, size, options.seed)
            curve, seconds = _curve(name, size, options)
        except Skipped as reason:
            print(f"skipped: {name}: {reason}", file=sys.stderr)
            continue
        if options.store:
            _store(path, size, options.seed, curve)
        rows.append({"name": name, "seconds": round(seconds), **compared(curve, stored or curve, options.tolerance)})
    report(rows, options)
    return 1 if any(row["verdict"] == "worse" for row in rows) else 0


def compared(curve, stored, tolerance):
    """The last losses of a curve and the stored one, and how they differ.

    Args:
        curve, stored: lists of validation losses.
        tolerance: how far above the stored loss one may be, as a share of it.
    """
    loss, before = curve[-1], stored[-1]
    slack = tolerance * before + _CHANCE
    verdict = "better" if loss < before - slack else "as before" if loss <= before + slack else "worse"  # also if NaN
    return {"loss": loss, "stored": before, "difference": f"{100 * (loss / before - 1):+.2f} %", "verdict": verdict}


def _curve(name, size, options):
    pairs, epochs = _SIZES[size]
    started = time.perf_counter()
    config = recipe(name, options.data, pairs=pairs, epochs=epochs, seed=options.seed)
    *_, history = learned(config)
    return history["val_loss"], time.perf_counter() - started


def _stored(path, size, seed):
    record = _curves(path).get(size)
    if record is None or record.get("seed", 0) != seed:
        raise Skipped(f"{path.name} has no curve of this size with the seed {seed}; --store makes it")
    return record["validation_loss"]


def _curves(path):
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def _store(path, size, seed, curve):
    curves = _curves(path)
    curves[size] = {
        "seed": seed,
        "validation_loss": [float(f"{loss:.6g}") for loss in curve],
        "machine": machine(),
        "versions": versions(),
    }
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(curves, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
