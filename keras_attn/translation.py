"""What became of one text."""

from typing import Any, NamedTuple

import numpy as np


class Translation(NamedTuple):
    """One source text, what became of it, and where the model looked.

    Fields:
        text: the target text.
        tokens: its tokens, a list of strings.
        source_tokens: the tokens of the source, the end token last.
        score: what the search ranks it by, see `Search`; for greedy search and given targets, the log-probability.
        log_probability: of the target in nats, its end token included; one that the search cut off has none.
        perplexity: `exp` of the mean surprise of a token, the end token included: between how many tokens the model wavers.
        token_log_probabilities: float32 `(len(tokens),)`; what is missing to `log_probability` is the end token's.
        attention: float32 `(len(tokens), len(source_tokens))`, each row adding up to one where the alignment
            is global.
        ids, source_ids: int32 `(len(tokens),)` and `(len(source_tokens),)`, those of the tokens; the unknown token's where
            another was written for it.
    """

    text: str
    tokens: list
    source_tokens: list
    score: float
    log_probability: float
    perplexity: float
    token_log_probabilities: Any
    attention: Any
    ids: Any
    source_ids: Any


def translation_of(
    translations,
    tokens,
    source_tokens,
    scores,
    log_probabilities,
    perplexities,
    token_log_probabilities,
    attention,
    ids,
    source_ids,
):
    """A `Translation` from a row of what the graph gives."""
    rows, columns = np.count_nonzero(ids), np.count_nonzero(source_ids)
    return Translation(
        translations.decode(),
        [token.decode() for token in tokens[:rows]],
        [token.decode() for token in source_tokens[:columns]],
        float(scores),
        float(log_probabilities),
        float(perplexities),
        token_log_probabilities[:rows],
        attention[:rows, :columns],
        ids[:rows],
        source_ids[:columns],
    )
