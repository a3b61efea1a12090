"""How good a model translates while it is trained."""

import keras

from keras_attn.evaluation import measure, normalized_references, tokenizer_of
from keras_attn.translator import Translator

# Of these, less is better; of other measures, more.
_ERRORS = ("loss", "_rate")


class DecodedQuality(keras.callbacks.Callback):
    """Decodes held-out sources after each epoch, and adds to what the epoch reports how good the outputs are.

    In the list of callbacks it comes before those that use what it adds, and before what changes the weights back.

    Args:
        sources: a list of strings.
        references: for each of them a string, or a list of strings that are all right.
        source_text, target_text: the text processors.
        measures: names of measures, or a preset, see `keras_attn.evaluation.measure`; `"bleu"` becomes `val_bleu`.
        tokenizer: of BLEU, see `keras_attn.evaluation.bleu_and_chrf`.
        **options: of `Translator`, such as `search`; it decodes greedily unless told.

    Raises:
        InputError: at the end of the first epoch, see `measure`.

    Example:
        >>> callbacks = [
        ...     DecodedQuality(sources, references, source_text, target_text, ["bleu"]),
        ...     keras.callbacks.EarlyStopping("val_bleu", mode="max", patience=3),
        ... ]
    """

    def __init__(self, sources, references, source_text, target_text, measures, tokenizer="13a", **options):
        super().__init__()
        lists = [[answers] if isinstance(answers, str) else answers for answers in references]
        self.sources = list(sources)
        self.references = normalized_references(lists, target_text)
        self.texts = source_text, target_text
        self.measures = measures
        self.tokenizer = tokenizer
        self.options = options
        self._translator = None

    def on_epoch_end(self, epoch, logs=None):
        if self._translator is None:
            self._translator = Translator(self.model, *self.texts, **self.options)
        outputs = self._translator(self.sources)
        split = tokenizer_of(self.texts[1], outputs, *self.references)
        values = measure(outputs, self.references, self.measures, tokenizer=self.tokenizer, split=split)
        logs.update({f"val_{name}": value for name, value in values.items() if not isinstance(value, str)})


def less_is_better(monitor):
    """Whether a value of this name (`val_loss`, `val_bleu`) improves by falling."""
    return monitor.endswith(_ERRORS)
