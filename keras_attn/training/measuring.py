"""How the outputs of a run are made and measured, as its configuration says."""

from keras_attn import evaluation
from keras_attn.decoding import BeamSearch
from keras_attn.translator import Translator

# What a run reports of its outputs, by the name of what they are; the first is the one to choose by.
MEASURES = {
    "text": ("bleu", "chrf", "exact_match"),
    "strings": ("exact_match",),
    "pronunciations": evaluation.PRESETS["pronunciations"],
}


def with_beam(translator, config):
    """The translator with the search that its run is measured with."""
    if config.beam == 1:
        return translator
    texts = translator.source_text, translator.target_text
    search = {"search": BeamSearch, "width": config.beam, "length_penalty": config.length_penalty}
    return Translator(translator.model, *texts, **search)


def measured(config, references, translations, target_text):
    """How good the translations are, against references that are normalised as the training texts were."""
    return evaluation.measure(
        [translation.text for translation in translations],
        evaluation.normalized_references(references, target_text),
        MEASURES[config.measures],
        tokenizer=config.bleu_tokenizer,
    )
