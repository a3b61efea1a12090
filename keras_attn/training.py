"""One training run from beginning to end: what `python train.py` does, step by step, with the public parts."""

import contextlib
import dataclasses
import itertools
import json
import pathlib
import shutil
import sys
import time

import keras
import numpy as np

from keras_attn import files
from keras_attn.about import versions
from keras_attn.checkpoint import EPOCHS, BestModel, Checkpoint, KeptEpochs, MovingAverages, ResumedEarlyStopping
from keras_attn.data import Split, batches, date_pairs, download_pairs, read_parallel
from keras_attn.data.batches import Batches
from keras_attn.data.pairs import Stream, stream_parallel, stream_tsv
from keras_attn.data.split import stream_split
from keras_attn.errors import InputError
from keras_attn.evaluation import bleu_and_chrf, exact_match
from keras_attn.layers import AdditiveScore, Attention, LocalAlignment, LocationScore, PredictiveAlignment
from keras_attn.models import AttentionSeq2Seq, MaskedCrossEntropy, TokenAccuracy
from keras_attn.plotting import plot_attention, plot_loss
from keras_attn.text import learn_text_processor
from keras_attn.translator import Translator

# Everything that a run may leave in its folder; --overwrite deletes these and nothing else.
CONFIG, METRICS, CHECKPOINT, EXPORT, LOSS = "config.json", "metrics.json", "checkpoint", "saved_model", "loss.png"
PICTURES = ("attention.png", "attention-2.png", "attention-3.png")
_WRITTEN = (CONFIG, METRICS, CHECKPOINT, EPOCHS, EXPORT, LOSS, *PICTURES, *Translator.FILES)

# Fewer subwords where there is less to learn them from.
_PAIRS_FOR_A_SUBWORD, _SUBWORDS = 4, (1_000, 8_000)

_EXAMPLES = 8


def train(config, folder, overwrite=False, resume=False):
    """Trains a translator, measures it, and leaves all that it takes to use it.

    Args:
        config: `TrainingConfig`.
        folder: where the run is written: `config.json`, `metrics.json`, `model.keras` and the two text processors
            (for `Translator.load`), `saved_model/`, `loss.png`, `attention.png`, `checkpoint/` to go on from, and
            `epochs/` with the last models if the configuration asks for them.
        overwrite: whether a run that is there already may be deleted.
        resume: whether to go on with the run that is there.

    Returns:
        What `metrics.json` holds, a dictionary.

    Raises:
        InputError: the folder holds another run, or see `load_parts` and `learn_texts`.
    """
    started = time.monotonic()
    config, folder = config.resolved(), pathlib.Path(folder)
    new_model(config).build()  # what does not fit together is refused before anything is read
    keras.utils.set_random_seed(config.seed)
    _refuse_another_run(folder, overwrite, resume)
    parts = load_parts(config)
    source_text, target_text = learn_texts(config, parts.train)

    training, validation = batches_of(config, parts, source_text, target_text)
    config = dataclasses.replace(config, epochs=config.epochs_for(len(training)))

    if not resume:
        _begin(folder, config)
    checkpoint = Checkpoint(folder / CHECKPOINT)
    epochs_done = checkpoint.epochs_done
    if epochs_done:
        model = checkpoint.load_model()
    else:
        model = new_model(config, source_text.vocabulary_size, target_text.vocabulary_size)
        compile_model(model, config, steps=config.epochs * len(training))
        Translator(model, source_text, target_text).save(folder)
    _describe(config, parts, training.pairs, model)
    model.fit(
        training.dataset(first_epoch=epochs_done),
        validation_data=validation,
        epochs=config.epochs,
        initial_epoch=epochs_done,
        shuffle=False,  # the batches are shuffled already
        verbose=1 if sys.stdout.isatty() else 2,
        callbacks=[
            BestModel(folder / Translator.MODEL, checkpoint.history),
            *([KeptEpochs(folder / EPOCHS, config.keep_epochs)] if config.keep_epochs else []),
            MovingAverages(),  # what stands before it keeps the averages, and the checkpoint the weights
            checkpoint,
            ResumedEarlyStopping(checkpoint.history, monitor="val_loss", patience=config.patience),
        ],
    )

    translator = Translator.load(folder)  # the best epoch, which is not always the last
    if config.precision != "float32":
        translator = _in_float32(translator, config)
        translator.save(folder)
    translations = translator.translate([source for source, _ in parts.test])
    metrics = measure(config, parts.test, translations, target_text) | {
        "epochs": checkpoint.epochs_done,
        "validation_loss": min(checkpoint.history["val_loss"]),
        "parameters": model.count_params(),
        "seconds": round(time.monotonic() - started, 1),
    }
    files.write_text(folder / METRICS, json.dumps(metrics, indent=1) + "\n")
    translator.export(folder / EXPORT, name=config.task, task=config.task, quality=metrics)
    plot_loss(checkpoint.history, folder / LOSS)
    for picture, index in zip(PICTURES, worth_drawing(translations)):
        translation = translations[index]
        plot_attention(translation.attention, translation.source_tokens, translation.tokens, folder / picture)
    _report(parts.test, translations, metrics, folder)
    return metrics


def _in_float32(translator, config):
    """The same weights in a model that computes in float32, as any processor does well."""
    texts = translator.source_text, translator.target_text
    config = dataclasses.replace(config, precision="float32")
    model = new_model(config, *(text.vocabulary_size for text in texts))
    model.build()
    model.set_weights(translator.model.get_weights())
    return Translator(model, *texts)


def load_parts(config):
    """The pairs that the configuration names, as a `Split`; those to train on are read anew each time."""
    turn = _reversed if config.reverse else iter
    if config.dataset == "dates":
        return Split(*(list(turn(part)) for part in date_pairs(train=config.pairs or 30_000, seed=config.seed)))
    given = {
        part: list(turn(read_parallel(getattr(config, f"{part}_source"), getattr(config, f"{part}_target"))))
        for part in ("validation", "test")
        if getattr(config, f"{part}_source")
    }
    # Turned before it is split: what must not be in two parts is the sentence that the model reads.
    every = _pairs(config)
    used = Stream(lambda: turn(itertools.islice(every, config.pairs)))
    parts = stream_split(used, **{part: 0 for part in given}, seed=config.seed)
    return Split(parts.train, list(parts.validation), list(parts.test))._replace(**given)


def _pairs(config):
    """All pairs that the configuration names but those of the dates, to go through again and again."""
    if config.dataset:
        return download_pairs(config.dataset)
    files = [config.tsv] if config.tsv else [config.source, config.target]
    pairs = (stream_tsv if config.tsv else stream_parallel)(*files)
    return list(pairs) if "-" in files else pairs  # what standard input says, it says only once


def learn_texts(config, pairs):
    """The text processors of source and target, learned from the training pairs.

    Raises:
        InputError: one vocabulary is asked for, but the units of the sides differ.
    """
    least, most = _SUBWORDS
    subwords = min(most, max(least, len(pairs) // _PAIRS_FOR_A_SUBWORD))

    def learn(texts, unit):
        size = config.vocabulary_size or (subwords if unit == "subwords" else None)
        return learn_text_processor(
            texts, unit, vocabulary_size=size, normalization=config.normalization, lower_case=config.lower_case
        )

    sources = Stream(lambda: (source for source, _ in pairs))
    targets = Stream(lambda: (target for _, target in pairs))
    if not config.shared_vocabulary:
        return learn(sources, config.source_unit), learn(targets, config.target_unit)
    if config.source_unit != config.target_unit:
        raise InputError(
            f"--shared-vocabulary needs one unit, but the source has {config.source_unit} and the target "
            f"{config.target_unit}; make --source-unit and --target-unit equal."
        )
    return (learn(itertools.chain(sources, targets), config.source_unit),) * 2


def batches_of(config, parts, source_text, target_text):
    """What to train on, as `Batches`, and what to choose the best epoch by, as a data set."""
    sizes = {"batch_size": config.batch_size, "tokens_per_batch": config.tokens_per_batch}
    shortened = {"seed": config.seed, "max_length": config.max_length}
    training = Batches(parts.train, source_text, target_text, **sizes, **shortened)
    return training, batches(parts.validation, source_text, target_text, **sizes)


def new_attention(config):
    """The attention, or `None` where the wiring has none."""
    if config.wiring == "none":
        return None
    score = config.attention or "scaled-dot"
    if score == "location":
        score = LocationScore(positions=config.max_length)
    elif config.coverage:
        score = AdditiveScore(normalized=score == "normalized-additive", coverage=True)
    alignment = config.alignment
    if config.window:
        alignment = {"local-m": LocalAlignment, "local-p": PredictiveAlignment}[alignment](window=config.window)
    return Attention(score, alignment, heads=config.heads, dropout=config.attention_dropout)


def new_model(config, source_vocabulary_size=4, target_vocabulary_size=4):
    """The model, with weights that the seed decides."""
    with _precision(config.precision):
        return _new_model(config, source_vocabulary_size, target_vocabulary_size)


@contextlib.contextmanager
def _precision(policy):
    """All layers that are made meanwhile compute in it."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def _new_model(config, source_vocabulary_size, target_vocabulary_size):
    return AttentionSeq2Seq(
        source_vocabulary_size,
        target_vocabulary_size,
        units=config.units,
        embedding_units=config.embedding_units,
        encoder_layers=config.layers,
        decoder_layers=config.layers,
        cell=config.cell,
        bidirectional={"all": True, "none": False}.get(config.bidirectional, config.bidirectional),
        bridge=config.bridge,
        wiring=config.wiring,
        attention=new_attention(config),
        input_feeding=config.input_feeding,
        coverage_loss=config.coverage_loss,
        residual=config.residual,
        layer_normalization=config.layer_normalization,
        dropout=config.dropout,
        recurrent_dropout=config.recurrent_dropout,
        tied_softmax=config.tied_softmax,
        tied_embeddings=config.tied_embeddings,
    )


def compile_model(model, config, steps):
    """Adam with a warm-up and a cosine that falls to zero over that many steps, and the masked cross-entropy.

    With `config.ema` the optimizer keeps moving averages of the weights, see `MovingAverages`.
    """
    warmup = min(400, steps // 10)
    rate = keras.optimizers.schedules.CosineDecay(
        0.0, steps - warmup, warmup_target=config.learning_rate, warmup_steps=warmup
    )
    averages = {"use_ema": True, "ema_momentum": config.ema} if config.ema else {}
    model.compile(
        optimizer=keras.optimizers.Adam(rate, global_clipnorm=1.0, **averages),
        loss=MaskedCrossEntropy(config.label_smoothing),
        metrics=[TokenAccuracy()],
    )


def measure(config, pairs, translations, target_text):
    """Exact match, and for text BLEU and chrF, against references that are normalised as the training texts were."""
    outputs = [translation.text for translation in translations]
    references = [text.decode() for text in target_text.normalize([target for _, target in pairs]).numpy()]
    metrics = {"exact_match": exact_match(outputs, references)}
    if config.dataset == "dates":
        return metrics
    return bleu_and_chrf(outputs, references, config.bleu_tokenizer) | metrics


def _reversed(pairs):
    return ((target, source) for source, target in pairs)


def _refuse_another_run(folder, overwrite, resume):
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file, but a run needs a folder; choose another --output.")
    there = [name for name in _WRITTEN if (folder / name).exists()]
    if there and not (overwrite or resume):
        raise InputError(
            f"{folder} holds another run ({there[0]}); add --resume to go on with it or --overwrite to delete it, or "
            f"choose another --output."
        )


def _begin(folder, config):
    """A folder with nothing of an earlier run in it but the configuration of the new one."""
    for name in _WRITTEN:
        path = folder / name
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    record = {"task": config.task, "train": config.to_dict(), "versions": versions()}
    files.write_text(folder / CONFIG, json.dumps(record, indent=1, ensure_ascii=False) + "\n")


def _describe(config, parts, used, model):
    print(
        f"{len(parts.train):,} pairs to train on, {len(parts.validation):,} for validation, {len(parts.test):,} to test."
    )
    if used < len(parts.train):
        print(
            f"{len(parts.train) - used:,} pairs have more than {config.max_length} tokens on a side and are left out."
        )
    sizes = model.get_config()
    print(
        f"{sizes['source_vocabulary_size']:,} source {config.source_unit}, {sizes['target_vocabulary_size']:,} target "
        f"{config.target_unit}, {model.count_params():,} parameters."
    )


def worth_drawing(translations):
    """Which to draw first, as indices: those of middling length, since short ones show little and long ones hide it."""
    lengths = np.array([len(translation.tokens) for translation in translations])
    typical = np.argsort(np.abs(lengths - np.percentile(lengths, 60)), kind="stable")
    return [index for index in typical if lengths[index]]


def _report(pairs, translations, metrics, folder):
    print("\nUnseen examples (source, output, and the right answer where it differs):")
    for index in np.linspace(0, len(pairs) - 1, num=min(_EXAMPLES, len(pairs)), dtype=int):
        (source, target), output = pairs[index], translations[index].text
        print(f"  {source}\n    {output}" + ("" if output == target else f"\n    ({target})"))
    print()
    print(f"{100 * metrics['exact_match']:.2f} % of {len(pairs):,} unseen sources answered to the letter")
    for name in ("bleu", "chrf"):
        if name in metrics:
            print(f"{metrics[name]:.2f} {name} ({metrics[f'{name}_signature']})")
    print(f"\nIn {folder}:")
    for name, what in (
        (Translator.MODEL, "the best epoch, for Translator.load(folder)"),
        (EPOCHS, "the last epochs, for an average or an ensemble"),
        (EXPORT, "the same for TensorFlow and TensorFlow Serving: strings in, strings out"),
        (METRICS, "these figures"),
        (LOSS, "the loss curve"),
        (PICTURES[0], "where the model looked, and two more"),
    ):
        if (folder / name).exists():
            print(f"  {name:15} {what}")
