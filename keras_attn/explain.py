"""Attention step by step, for vectors of one's own and for any token of a real translation."""

import dataclasses
import itertools
from typing import Any

import numpy as np
from keras import ops

from keras_attn import functional
from keras_attn.errors import InputError
from keras_attn.ids import NEVER_WRITTEN, START
from keras_attn.tables import text_width, visible

# Scores without weights of their own, which need nothing but query and keys.
_SCORES = {
    "dot": (functional.dot_score, "q · k"),
    "scaled-dot": (functional.scaled_dot_score, "q · k / √units"),
    "cosine": (functional.cosine_score, "q · k / (‖q‖ ‖k‖)"),
}
_LONGEST_SHOWN_VECTOR = 6  # numbers; longer ones are summarised by their norm
_ROWS = 10
_CANDIDATES = 5


@dataclasses.dataclass(frozen=True)
class Explanation:
    """One query's way to its context vector. `print` shows it as a table, `plot` as a picture.

    Fields:
        query: `(units,)`.
        keys: `(source_length, key_units)`.
        values: `(source_length, memory_units)`.
        scores: `(source_length,)`, how well the query fits each key.
        weights: `(source_length,)`, what was made of the scores.
        alignment_vectors: `(source_length, memory_units)`, each value times its weight.
        context: `(memory_units,)`, their sum.
        score_formula, weight_formula: how scores and weights came about, as formulas.
        source_tokens: what stands at each source position, or `None`.
        written: the target tokens before this step, or `None`.
        candidates: the most probable next tokens as `(token, probability)`, or `None`.
        chosen: the token that was written, which a beam does not always take from the top of them, or `None`.
    """

    query: Any
    keys: Any
    values: Any
    scores: Any
    weights: Any
    alignment_vectors: Any
    context: Any
    score_formula: str
    weight_formula: str
    source_tokens: list | None = None
    written: list | None = None
    candidates: list | None = None
    chosen: str | None = None

    def __str__(self):
        lines = []
        if self.source_tokens is not None:
            lines.append(f"source: {_visible(self.source_tokens)}")
        if self.written is not None:
            lines.append(f"written so far: {_visible(self.written) or '-'}")
        shown = _most_looked_at(self.weights)
        lines += [
            f"query: q = {_vector(self.query)}",
            "",
            f"1. score = {self.score_formula}",
            f"2. weight = {self.weight_formula}",
            "3. alignment vector = weight × value",
            "4. context vector = sum of the alignment vectors",
            "",
            *_table(self._columns(shown)),
        ]
        if len(shown) < len(self.weights):
            rest = np.delete(self.weights, shown)
            lines.append(f"and {len(rest)} more with a weight of {_number(rest.sum())} together")
        lines += ["", f"context vector = {_vector(self.context)}"]
        if self.candidates is not None:
            likely = ", ".join(f"{_visible([token])} {100 * share:.1f} %" for token, share in self.candidates)
            lines.append(f"5. the decoder makes of it: {likely}")
        else:
            lines.append("5. the decoder gets the context vector")
        return "\n".join(lines)

    def plot(self, path=None):
        """Draws the five steps side by side, see `keras_attn.plotting.plot_explanation`."""
        from keras_attn.plotting import plot_explanation

        return plot_explanation(self, path)

    def _columns(self, shown):
        columns = {}
        if self.source_tokens is not None:
            columns["token"] = [_visible([self.source_tokens[row]]) for row in shown]
        columns["key"] = [_vector(self.keys[row]) for row in shown]
        if not np.array_equal(self.keys, self.values):
            columns["value"] = [_vector(self.values[row]) for row in shown]
        columns["score"] = [_number(self.scores[row]) for row in shown]
        columns["weight"] = [_number(self.weights[row]) for row in shown]
        columns["alignment vector"] = [_vector(self.alignment_vectors[row]) for row in shown]
        return columns


def explain(query, keys, values=None, score="dot", source_tokens=None):
    """Attention in five steps, with the numbers of each.

    Args:
        query: `(units,)`.
        keys: `(source_length, units)`.
        values: `(source_length, memory_units)`; the keys if `None`.
        score: `"dot"`, `"scaled-dot"` or `"cosine"`; or the layer of a score, with weights of its own.
        source_tokens: optional names of the source positions.

    Returns:
        `Explanation`.

    Raises:
        InputError: the score is unknown or needs weights, or a shape does not fit.

    Example:
        >>> print(explain(query=[10, 5, 10], keys=[[0, 1, 1], [5, 0, 1], [1, 1, 0], [0, 5, 1]]))

    Source: the example is the one of "Attn: Illustrated Attention" (Karim 2019), which many texts have taken up.
    """
    query, keys = _array("query", query, 1), _array("keys", keys, 2)
    values = keys if values is None else _array("values", values, 2)
    if len(values) != len(keys):
        raise InputError(f"There are {len(keys)} keys and {len(values)} values; give one value for each key.")
    if source_tokens is not None and len(source_tokens) != len(keys):
        raise InputError(f"There are {len(keys)} keys and {len(source_tokens)} source tokens; give one for each key.")
    if isinstance(score, str):
        if score not in _SCORES:
            raise InputError(
                f"score is {score!r}, but only {', '.join(_SCORES)} need no weights of their own; choose one of them, or "
                f"give the layer of a score."
            )
        function, formula = _SCORES[score]
        if len(query) != keys.shape[1]:
            raise InputError(
                f"The query has {len(query)} numbers and each key {keys.shape[1]}; score={score!r} needs as many on both "
                f"sides."
            )
        scores = function(query[None], keys)
    else:
        keys, formula = ops.convert_to_numpy(_keys_of(score, query, keys)), score.formula
        scores = score(query[None], keys)
    scores = ops.convert_to_numpy(scores)[0]
    weights = ops.convert_to_numpy(functional.attention_weights(scores[None]))[0]
    return _explanation(query, keys, values, scores, weights, formula, "softmax(score)", source_tokens=source_tokens)


def explain_step(translator, text, step=1, head=1):
    """How the model chose one token of a translation, step by step; what `Translator.explain` does.

    Args:
        translator: `Translator`.
        text: a source text.
        step: which output token, from 1; the end token is the last.
        head: which attention head, from 1.

    Returns:
        `Explanation`.

    Raises:
        InputError: the model has no attention or is an ensemble, or there is no such step or head.
    """
    tokens, explanations = _steps(translator, text, head)
    if not tokens:
        raise InputError(f"{text!r} was translated in 0 steps, so there is none to explain; give another text.")
    if not 1 <= step <= len(tokens):
        raise InputError(f"step is {step}, but {text!r} was translated in {len(tokens)} steps; choose one of them.")
    return next(itertools.islice(explanations, step - 1, None))


def explain_steps(translator, text, head=1):
    """How the model chose every token of a translation, the end token included: a list of `Explanation`."""
    _, explanations = _steps(translator, text, head)
    return list(explanations)


def _steps(translator, text, head):
    """The ids of a translation, and an iterator over the explanations of each."""
    from keras_attn.decoding import Ensemble
    from keras_attn.text.sequences import source_ids

    model = translator.model
    if isinstance(model, Ensemble):
        raise InputError(
            f"One model is explained at a time, but these are {len(model.models)}; load one of the folders."
        )
    attention = model.decoder.attention
    if attention is None:
        raise InputError("This model has the wiring 'none' and looks at nothing, so there is nothing to explain.")
    if not 1 <= head <= attention.heads:
        raise InputError(f"head is {head}, but the model's heads are 1 to {attention.heads}.")
    source = source_ids(translator.source_text, [text])
    tokens = [int(token) for token in translator.search(source).tokens[0, 0] if token]
    return tokens, _explained(translator, source, tokens, head)


def head_weights(translator, translation):
    """Where each head looked for each token of a translation; what `Translator.head_weights` does."""
    attention = getattr(translator.model, "decoder", None) and translator.model.decoder.attention
    if attention is None or attention.heads == 1:
        return np.asarray(translation.attention)[None]
    source = translation.source_ids
    looks = _looks(translator.model, ops.convert_to_tensor([source], "int32"), translation.ids)
    weights = [ops.convert_to_numpy(weights[0, :, 0]) for _, _, _, weights, _ in looks]
    return np.array(weights, "float32").reshape(-1, attention.heads, len(source)).swapaxes(0, 1)


def _explained(translator, source, tokens, head):
    heads = translator.model.decoder.attention.heads

    def of_this_head(tensor):
        return ops.convert_to_numpy(ops.cast(tensor[0, head - 1] if heads > 1 else tensor[0], "float32"))

    looks = _looks(translator.model, source, tokens)
    for number, (chosen, (memory, query, scores, weights, logits)) in enumerate(zip(tokens, looks)):
        yield _explanation(
            ops.convert_to_numpy(ops.cast(query[0, 0], "float32")),
            of_this_head(memory.keys),
            of_this_head(memory.values),
            of_this_head(scores)[0],
            of_this_head(weights)[0],
            translator.model.decoder.attention.score.formula,
            translator.model.decoder.attention.alignment.formula,
            source_tokens=_tokens(translator.source_text, source[0]),
            written=_tokens(translator.target_text, tokens[:number]),
            candidates=_candidates(translator.target_text, logits[0]),
            chosen=_tokens(translator.target_text, [chosen])[0],
        )


def _looks(model, source, tokens):
    """For each token of a target: memory, query, scores and weights of all heads, and the logits that come of them."""
    attention = model.decoder.attention
    memory, state = model.encode(source)
    for last in [START, *tokens][: len(tokens)]:
        last = ops.convert_to_tensor([last])
        query = ops.expand_dims(model.decoder.query(last, state), 1)
        scores = attention.scores(query, memory, state["history"])
        _, weights = attention(query, memory.values, mask=memory.mask, keys=memory.keys, history=state["history"])
        logits, state, _ = model.step(last, state, memory)
        yield memory, query, scores, weights, logits


def _explanation(query, keys, values, scores, weights, score_formula, weight_formula, **context):
    alignment_vectors = ops.convert_to_numpy(functional.alignment_vectors(weights[None], values))[0]
    return Explanation(
        query,
        keys,
        values,
        scores,
        weights,
        alignment_vectors,
        alignment_vectors.sum(axis=0),
        score_formula,
        weight_formula,
        **context,
    )


def _keys_of(score, query, keys):
    if not score.built:
        score.build((None, len(query)), keys.shape)
        score.built = True
    return score.project(keys)


def _array(name, given, dimensions):
    try:
        array = np.asarray(given, "float64")
    except (TypeError, ValueError):
        array = None
    if array is None or array.ndim != dimensions or not array.size or not np.isfinite(array).all():
        shape = "a vector of numbers" if dimensions == 1 else "a row of numbers for each source position"
        raise InputError(f"{name} is {given!r}, but it must be {shape}.")
    return array


def _tokens(processor, ids):
    tokens = processor.to_tokens(ops.convert_to_tensor(ids, "int32")[None]) if len(ids) else []
    return [token.decode() for row in np.array(tokens) for token in row]


def _candidates(processor, logits):
    probabilities = ops.convert_to_numpy(ops.softmax(ops.cast(logits, "float32")))
    best = [token for token in np.argsort(-probabilities) if token not in NEVER_WRITTEN][:_CANDIDATES]
    return list(zip(_tokens(processor, best), probabilities[best].tolist()))


def _most_looked_at(weights):
    """The positions to show: all, or those with the largest weights, in the order of the source."""
    return np.sort(np.argsort(-weights, kind="stable")[:_ROWS])


def _visible(tokens):
    return " ".join(map(visible, tokens))


def _number(number):
    return f"{number:.9g}" if abs(number) < 1e-3 or float(number).is_integer() else f"{number:.4g}"


def _vector(vector):
    if len(vector) > _LONGEST_SHOWN_VECTOR:
        return f"norm {_number(np.linalg.norm(vector))}"
    return f"[{', '.join(map(_number, vector))}]"


def _table(columns):
    widths = {name: max(map(text_width, [name, *cells])) for name, cells in columns.items()}
    rows = [list(columns), *zip(*columns.values())]
    for row in rows:
        yield "  ".join(_padded(cell, widths[name], name) for name, cell in zip(columns, row)).rstrip()


def _padded(cell, width, name):
    gap = " " * (width - text_width(cell))
    return gap + cell if name in ("score", "weight") else cell + gap
