"""How good the outputs are, against the right answers."""

from keras_attn.errors import InputError, require

BLEU_TOKENIZERS = ("13a", "intl", "char", "zh", "none")


def exact_match(outputs, references):
    """Share of the outputs, from 0 to 1, that equal their reference to the letter.

    Args:
        outputs, references: lists of strings of the same length.

    Raises:
        InputError: the lists differ in length or are empty.
    """
    _refuse_unequal(outputs, references)
    return sum(output == reference for output, reference in zip(outputs, references)) / len(outputs)


def bleu_and_chrf(outputs, references, tokenizer="13a"):
    """BLEU and chrF of the whole list, from 0 to 100, by sacrebleu.

    Args:
        outputs, references: lists of strings of the same length.
        tokenizer: how sacrebleu cuts the words of BLEU: `"13a"` (most languages), `"intl"`, `"char"`, `"zh"`, or
            `"none"` for texts that are tokenised already.

    Returns:
        A dictionary with `bleu`, `chrf`, and sacrebleu's signature of each, which tells how it was measured.

    Raises:
        InputError: the lists differ in length or are empty, or the tokenizer is unknown.
        ImportError: sacrebleu is not installed.
    """
    _refuse_unequal(outputs, references)
    if tokenizer not in BLEU_TOKENIZERS:
        raise InputError(f"tokenizer is {tokenizer!r}, but only {', '.join(map(repr, BLEU_TOKENIZERS))} are known.")
    metrics = require("sacrebleu.metrics", "Measuring BLEU and chrF")
    # force: the reference is what it is; sacrebleu would warn that a tokenised one looks tokenised.
    measures = {"bleu": metrics.BLEU(tokenize=tokenizer, force=True), "chrf": metrics.CHRF()}
    results = {name: measure.corpus_score(outputs, [references]).score for name, measure in measures.items()}
    signatures = {f"{name}_signature": str(measure.get_signature()) for name, measure in measures.items()}
    return results | signatures


def _refuse_unequal(outputs, references):
    if len(outputs) != len(references) or not outputs:
        raise InputError(
            f"There are {len(outputs)} outputs and {len(references)} references; there must be as many, and at least one."
        )
