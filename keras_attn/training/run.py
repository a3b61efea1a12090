"""One training run from beginning to end: what `python train.py` does, step by step."""

import json
import pathlib
import sys
import warnings

import keras

from keras_attn import files
from keras_attn.errors import InputError
from keras_attn.plotting import plot_attention, plot_loss
from keras_attn.training.building import model_to_train, new_model
from keras_attn.training.checkpoint import (
    EPOCHS,
    BestModel,
    Checkpoint,
    KeptEpochs,
    MovingAverages,
    ResumedEarlyStopping,
    best_epochs,
)
from keras_attn.training.folder import (
    CHECKPOINT,
    EXPORT,
    LOSS,
    METRICS,
    PICTURES,
    begin,
    refuse_another_run,
    refuse_other_pairs,
    refuse_other_texts,
)
from keras_attn.training.measuring import measured, with_beam
from keras_attn.training.monitoring import DecodedQuality
from keras_attn.training.preparing import batches_of, learn_texts, load_parts, sources_and_references
from keras_attn.training.processor import prepare_processor
from keras_attn.training.reporting import describe, report, worth_drawing
from keras_attn.translator import Translator


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
        InputError: the folder holds another run, the loss became no number, or see `load_parts`.
    """
    config, folder = config.resolved(), pathlib.Path(folder)
    prepare_processor(config.precision)
    new_model(config).build()  # what does not fit together is refused before anything is read
    keras.utils.set_random_seed(config.seed)
    refuse_another_run(folder, overwrite, resume)
    parts = load_parts(config)
    texts = learn_texts(config, parts.train)
    training, validation = batches_of(config, parts, *texts)
    config = config.suited_to(training.pairs, len(training))

    if resume:
        refuse_other_pairs(folder, parts)
    else:
        begin(folder, config, parts)
    checkpoint = Checkpoint(folder / CHECKPOINT)
    epochs_done = checkpoint.epochs_done
    if epochs_done:
        refuse_other_texts(folder, texts)
        model = checkpoint.load_model()
    else:
        model = model_to_train(config, texts, len(training))
        Translator(model, *texts).save(folder)
    describe(config, parts, training.pairs, model)
    stopping = ResumedEarlyStopping(checkpoint.history, monitor=f"val_{config.monitor}", patience=config.patience)
    callbacks = [*_callbacks(config, folder, checkpoint, parts.validation, texts), stopping]
    _fit(model, training, validation, epochs_done, epochs_done if stopping.is_over else config.epochs, callbacks)
    best = best_epochs(checkpoint.history.get(f"val_{config.monitor}", ()), f"val_{config.monitor}")
    if not best:
        raise InputError("Nothing was learned: the loss is no number; lower --learning-rate, and train anew.")

    translator = _of_the_best_epoch(config, folder)
    sources, references = sources_and_references(parts.test)
    translations = with_beam(translator, config).translate(sources)
    metrics = measured(config, references, translations, texts[1]) | {
        "beam": config.beam,
        "length_penalty": config.length_penalty,
        "epochs": checkpoint.epochs_done,
        "validation_loss": checkpoint.history["val_loss"][best[-1]],
        "parameters": model.count_params(),
        "seconds": round(checkpoint.seconds, 1),
    }
    files.write_text(folder / METRICS, json.dumps(metrics, indent=1) + "\n")
    translator.export(folder / EXPORT, name=config.task, task=config.task, quality=metrics)
    plot_loss(checkpoint.history, folder / LOSS)
    for picture, index in zip(PICTURES, worth_drawing(translations)):
        translation = translations[index]
        plot_attention(translation.attention, translation.source_tokens, translation.tokens, folder / picture)
    report(sources, references, translations, metrics, folder)
    return metrics


def _fit(model, training, validation, epochs_done, epochs, callbacks):
    with warnings.catch_warnings():
        # Keras says so after the first epoch of every data set whose length it does not know, and goes on.
        warnings.filterwarnings("ignore", "Your input ran out of data")
        model.fit(
            training.dataset(first_epoch=epochs_done),
            validation_data=validation,
            epochs=epochs,
            initial_epoch=epochs_done,
            shuffle=False,  # the batches are shuffled already
            verbose=1 if sys.stdout.isatty() else 2,
            callbacks=callbacks,
        )


def _of_the_best_epoch(config, folder):
    """The translator that the run keeps, which is not always that of the last epoch, in the precision in which it is used."""
    if config.precision != "mixed_bfloat16":
        return Translator.load(folder)
    translator = Translator.load(folder, precision="float32")
    translator.save(folder)
    return translator


def _callbacks(config, folder, checkpoint, validation, texts):
    """In the order in which they must come."""
    monitor, callbacks = f"val_{config.monitor}", []
    if config.monitor != "loss":
        held_out = sources_and_references(validation)
        callbacks.append(DecodedQuality(*held_out, *texts, [config.monitor], config.bleu_tokenizer))
    callbacks.append(BestModel(folder / Translator.MODEL, checkpoint.history, monitor))
    if config.keep_epochs:
        callbacks.append(KeptEpochs(folder / EPOCHS, config.keep_epochs))
    # What stands before them sees the averages, and the checkpoint the weights.
    return [*callbacks, MovingAverages(), checkpoint, keras.callbacks.TerminateOnNaN()]
