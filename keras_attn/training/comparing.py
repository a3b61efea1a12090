"""Training with one attention after the other on the same task, for as many epochs, and one table of the results."""

import dataclasses
import json
import pathlib
import time

import keras
import numpy as np

from keras_attn import files
from keras_attn.about import versions
from keras_attn.config import CHOICES, OF_ATTENTION, TrainingConfig
from keras_attn.errors import InputError
from keras_attn.plotting import plot_attention_grid
from keras_attn.tables import markdown_table
from keras_attn.training.building import model_to_train, new_model
from keras_attn.training.measuring import measured, with_beam
from keras_attn.training.preparing import batches_of, learn_texts, load_parts, sources_and_references
from keras_attn.training.processor import prepare_processor
from keras_attn.training.reporting import worth_drawing
from keras_attn.translator import Translator

RESULTS, TABLE, PICTURE = "compare.json", "compare.md", "attention.png"


def variants(config, attentions, wirings):
    """The configurations that names stand for, `config` with another attention and wiring each.

    Args:
        config: `TrainingConfig`.
        attentions: names of a score, an alignment, both with a plus sign between (`additive+local-p`), `coverage` added
            to them, or `none`.
        wirings: names of a wiring, or `luong+input-feeding`.

    Returns:
        A dictionary from `(attention, wiring)` to `TrainingConfig`; no attention stands once, without a wiring.

    Raises:
        InputError: a name is unknown, or an attention and a wiring do not go together.
    """
    found = {}
    for wiring in wirings:
        base, *feeding = wiring.split("+")
        if base not in CHOICES["wiring"] or base == "none" or feeding not in ([], ["input-feeding"]):
            raise InputError(f"{wiring!r} is no wiring; known are luong, luong+input-feeding, bahdanau and gnmt.")
        for attention in attentions:
            if attention == "none":
                nothing = {name: getattr(TrainingConfig, name) for name in OF_ATTENTION}
                found["none", "none"] = dataclasses.replace(config, wiring="none", **nothing)
                continue
            chosen = _meaning(attention)
            found[attention, wiring] = dataclasses.replace(config, wiring=base, input_feeding=bool(feeding), **chosen)
    for variant in found.values():
        new_model(variant.resolved()).build()  # what does not fit together is refused before anything is trained
    return found


def compare(config, attentions, wirings, folder, overwrite=False):
    """Trains each variant for the same number of epochs and says how they did.

    Args:
        config: `TrainingConfig` of what they have in common.
        attentions, wirings: see `variants`.
        folder: where `compare.json`, `compare.md` and `attention.png` are written; the first two after each variant.
        overwrite: whether those of an earlier comparison may be replaced.

    Returns:
        A list of dictionaries, one for each variant.

    Raises:
        InputError: see `variants`; or the folder holds another comparison.
    """
    config, folder = config.resolved(), pathlib.Path(folder)
    configs = variants(config, attentions, wirings)
    there = [name for name in (RESULTS, TABLE, PICTURE) if (folder / name).exists()]
    if there and not overwrite:
        raise InputError(
            f"{folder} holds {there[0]} already; add --overwrite to replace it, or choose another --output."
        )
    prepare_processor(config.precision)
    keras.utils.set_random_seed(config.seed)
    parts = load_parts(config)
    texts = learn_texts(config, parts.train)
    for name in there:
        (folder / name).unlink()
    rows, panels = [], []
    for (attention, wiring), variant in configs.items():
        name = attention if attention == "none" else f"{attention}, {wiring}"
        print(f"{name} ...", end="", flush=True)
        started = time.monotonic()
        row, translations = _train_and_measure(variant, parts, texts)
        print(f" loss {row['validation_loss']:.3f} after {time.monotonic() - started:.0f} s")
        rows.append({"attention": attention, "wiring": wiring, **row})
        if len(rows) == 1:
            shown = next(iter(worth_drawing(translations)), 0)
        if attention != "none":
            translation = translations[shown]
            panels.append((name, translation.attention, translation.source_tokens, translation.tokens))
        files.write_text(
            folder / RESULTS,
            json.dumps({"train": config.to_dict(), "versions": versions(), "results": rows}, indent=1) + "\n",
        )
        files.write_text(folder / TABLE, table(rows) + "\n")
    if panels:
        plot_attention_grid(panels, folder / PICTURE)
    print(f"\n{table(rows)}\n\nIn {folder}: {', '.join([RESULTS, TABLE, *([PICTURE] if panels else [])])}")
    return rows


def table(rows):
    """The results as a table in Markdown, which reads as well in a terminal."""
    quality = ("BLEU", lambda row: f"{row['bleu']:.1f}")
    for name in ("exact_match", "word_error_rate"):
        if "bleu" not in rows[0] and name in rows[0]:
            quality = (name.replace("_", " "), lambda row, name=name: f"{100 * row[name]:.2f} %")
    columns = {
        "attention": lambda row: row["attention"],
        "wiring": lambda row: row["wiring"],
        "parameters": lambda row: f"{row['parameters']:,}",
        "ms/step": lambda row: f"{row['milliseconds_per_step']:.0f}",
        "loss": lambda row: f"{row['validation_loss']:.4f}",
        quality[0]: quality[1],
        "sharpness": lambda row: "-" if row["sharpness"] is None else f"{row['sharpness']:.2f}",
    }
    return markdown_table([list(columns), *([show(row) for show in columns.values()] for row in rows)])


def _meaning(attention):
    """What the name of an attention, whose parts are joined by +, sets in the configuration."""
    meaning = {}
    for part in attention.split("+"):
        fields = {field: part for field in ("attention", "alignment") if part in CHOICES[field]}
        fields |= {"coverage": True} if part == "coverage" else {}
        if not fields:
            known = (*CHOICES["attention"], *CHOICES["alignment"], "coverage")
            raise InputError(
                f"{part!r} is no part of an attention; known are {', '.join(known)}, which may be joined by +, and none by "
                f"itself."
            )
        if fields.keys() & meaning.keys():
            raise InputError(
                f"{attention!r} names two scores, two alignments or one thing twice; join a score, an alignment and coverage, "
                f"each once."
            )
        meaning |= fields
    return meaning


def _train_and_measure(config, parts, texts):
    keras.utils.set_random_seed(config.seed)
    training, validation = batches_of(config, parts, *texts)
    config = config.suited_to(training.pairs, len(training))
    model = model_to_train(config, texts, len(training))
    times = _StepTimes()
    history = model.fit(
        training.dataset(),
        validation_data=validation,
        epochs=config.epochs,
        shuffle=False,  # the batches are shuffled already
        verbose=0,
        callbacks=[times, keras.callbacks.EarlyStopping(patience=config.epochs, restore_best_weights=True)],
    ).history
    sources, references = sources_and_references(parts.test)
    translations = with_beam(Translator(model, *texts), config).translate(sources)
    return {
        "parameters": model.count_params(),
        "milliseconds_per_step": times.median,
        "validation_loss": min(history["val_loss"]),
        **measured(config, references, translations, texts[1]),
        "sharpness": _sharpness(translations) if config.wiring != "none" else None,
    }, translations


def _sharpness(translations):
    """The largest attention weight of a step, on average over all steps: one where it looks at a single position. `None`
    where nothing was written."""
    largest = [row.max() for translation in translations for row in translation.attention]
    return float(np.mean(largest)) if largest else None


class _StepTimes(keras.callbacks.Callback):
    """Measures the median time of a training step in milliseconds, without the first, which traces the graph."""

    def __init__(self):
        super().__init__()
        self.milliseconds = []

    @property
    def median(self):
        return float(np.median(self.milliseconds[1:] or self.milliseconds))

    def on_train_batch_begin(self, batch, logs=None):
        self.started = time.perf_counter()

    def on_train_batch_end(self, batch, logs=None):
        self.milliseconds.append(1000 * (time.perf_counter() - self.started))
