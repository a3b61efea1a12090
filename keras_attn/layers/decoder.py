"""The decoder: one set of weights, and two ways through it."""

import keras
from keras import ops

from keras_attn.errors import InputError
from keras_attn.kernels.backend import in_graph
from keras_attn.kernels.cores import in_halves, leaves_a_core_idle
from keras_attn.kernels.fused import Origin, trace_logits
from keras_attn.layers.memory import Memory
from keras_attn.layers.parts import Dense, part
from keras_attn.layers.time import over_time
from keras_attn.layers.wirings import WIRINGS
from keras_attn.products import product


@keras.saving.register_keras_serializable(package="keras_attn")
class Decoder(keras.layers.Layer):
    """Writes the target with a stack of recurrent layers that attends to the memory.

    With the default wiring, for each position of the target:

    1. embedding of the token;
    2. recurrent layers, from the state of the position before;
    3. attention: the top layer's output asks, the memory answers with a context vector;
    4. attentional vector: `tanh(W [output; context vector] + b)`, with dropout;
    5. logits: one number for each id of the target vocabulary.

    The other wirings change who asks in step 3 and where its answer goes, see `Wiring`.

    Calling the layer goes over a whole target, as training with teacher forcing does; `step` goes one token further, as
    decoding does. Both give the same numbers. Where nothing flows from the attention back into the recurrent layers,
    the call runs each part over the whole target at once; where something does, position by position.

    Args:
        embedding: `TokenEmbedding`; a tied one is also the matrix of step 5.
        stack: `RecurrentStack` that reads forward.
        attention: `Attention`; `None` with the wiring `"none"`.
        wiring: `"luong"`, `"bahdanau"`, `"gnmt"` or `"none"`.
        input_feeding: whether the attentional vector joins the next position's input (`"luong"` alone).
        dropout: share of the attentional vector that training sets to zero.

    The attentional vector has `output_units`: those of the embedding where that is tied, as its matrix is the softmax's,
    and otherwise those of the stack.

    Call arguments:
        target: int `(batch, target_length)`, beginning with the start token.
        state: from `first_state`.
        memory: `Memory` from `remember`.
        training: whether dropout is on.

    Output:
        A pair. Logits: `(batch, target_length, vocabulary_size)`. Attention weights:
        `(batch, target_length, source_length)`, the mean over several heads; zeros without attention.

    Raises:
        InputError: the parts do not go together.

    Source: see `WIRINGS`; Luong et al. 2015, section 3.3 (input feeding), with the bias of the usual tanh layer.
    """

    def __init__(self, embedding, stack, attention=None, wiring="luong", input_feeding=False, dropout=0.0, **kwargs):
        super().__init__(autocast=False, **kwargs)  # the attention's history stays in float32
        if wiring not in WIRINGS:
            raise InputError(f"wiring is {wiring!r}, but only {', '.join(WIRINGS)} are known.")
        self.embedding = part(embedding)
        self.stack = part(stack)
        self.attention = part(attention)
        self.wiring_name = wiring
        self.wiring = WIRINGS[wiring]
        self.input_feeding = input_feeding
        policy = {"dtype": self.dtype_policy}
        self.dropout = keras.layers.Dropout(dropout, **policy)
        self.output_units = self.embedding.units if self.embedding.tied else self.stack.units
        self.attentional = None
        if self.wiring.readout:
            self.attentional = Dense(self.output_units, activation="tanh", name="attentional", **policy)
        self.logits = None
        if not self.embedding.tied:
            # Keras's default makes the matrix the smaller the more tokens there are. With thousands of them, all that is
            # learned through it would be learned several times more slowly.
            self.logits = Dense(self.embedding.vocabulary_size, kernel_initializer="he_normal", name="logits", **policy)
        self._refuse_parts_that_do_not_fit()

    @property
    def feeds_back(self):
        """Whether anything flows from the attention back into the recurrent layers."""
        return self.wiring.context_joins != "none" or self.input_feeding

    def build(self, target_shape, values_shape):
        units = self.stack.units
        hidden_shape = (None, None, units)
        context_units = 0
        if self.attention is not None:
            self.attention.build(hidden_shape, values_shape)
            context_units = self.attention.compute_output_shape(hidden_shape, values_shape)[0][-1]
        self.embedding.build(target_shape)
        joined = {"none": 0, "first": 1, "all": self.stack.depth}[self.wiring.context_joins]
        side_units = [context_units] * joined + [0] * (self.stack.depth - joined)
        if self.input_feeding:
            side_units[0] = self.output_units
        self.stack.join(side_units)
        self.stack.build((None, None, self.embedding.units))
        if self.attentional is not None:
            sizes = {"hidden": units, "context": context_units, "embedded": self.embedding.units}
            self.attentional.build((None, None, sum(sizes[name] for name in self.wiring.readout)))
        if self.logits is not None:
            self.logits.build((None, None, self.output_units))

    def remember(self, values, mask):
        """The memory of a source sentence, its keys projected once for all steps.

        Args:
            values: `(batch, source_length, memory_units)`.
            mask: boolean `(batch, source_length)`.

        Returns:
            `Memory`.
        """
        return Memory(values, values, mask) if self.attention is None else self.attention.remember(values, mask)

    def first_state(self, recurrent, memory):
        """The state before the first token: a dictionary of all that a step hands to the next.

        Args:
            recurrent: a list for each layer, of tensors `(batch, units)`, from a bridge.
            memory: `Memory`.
        """
        state = {"recurrent": recurrent}
        if self.attention is not None:
            state["history"] = self.attention.first_history(memory)
        if self.input_feeding:
            state["attentional"] = self._no_outputs(recurrent)
        return state

    def call(self, target, state, memory, training=None):
        write = lambda *batch: self._write(*batch, training)
        # Position by position, there are enough operations at a time for two cores.
        if training and not self.feeds_back and leaves_a_core_idle():
            outputs, weights = in_halves(write, target, state, memory)
        else:
            outputs, weights = write(target, state, memory)
        logits = self._logits(outputs)
        if in_graph():
            trace_logits(logits, Origin(outputs, *self._softmax, training))
        return logits, weights

    def step(self, tokens, state, memory, projection=None, logit_mask=0.0):
        """One token further.

        Args:
            tokens: int `(batch,)`, the last token of each sentence (at first the start token).
            state: from `first_state` or the step before.
            memory: `Memory`.
            projection: what `output_projection` returns for some ids, if no others matter.
            logit_mask: added to their logits, `(batch, ids)`: `-inf` where a sentence cannot have an id, and 0 elsewhere.

        Returns:
            Logits `(batch, vocabulary_size)`, or `(batch, ids)` of those ids; the new state; and attention weights
            `(batch, source_length)`.
        """
        output, state, weights = self._advance(self.embedding(tokens), state, memory)
        if projection is None:
            return self._logits(output), state, weights
        matrix, bias = projection
        logits = product(output, matrix) + bias
        return logits + ops.cast(logit_mask, ops.dtype(logits)), state, weights

    def output_projection(self, ids):
        """What `step` needs for the logits of some target ids `(ids,)` alone: matrix `(units, ids)` and bias `(ids,)`."""
        matrix, bias, is_embedding = self._softmax
        matrix = ops.transpose(ops.take(matrix, ids, axis=0)) if is_embedding else ops.take(matrix, ids, axis=1)
        return tuple(ops.cast(each, self.compute_dtype) for each in (matrix, ops.take(bias, ids, axis=0)))

    def query(self, tokens, state):
        """What asks in the `step` with the same arguments: `(batch, units)`."""
        if self.wiring.asks == "new":
            return self.stack.step(self.embedding(tokens), state["recurrent"], state.get("attentional"))[0]
        return self._previous_query(state)

    def _write(self, target, state, memory, training):
        """What the softmax sees of a whole target `(batch, target_length, output_units)`, and the weights."""
        embedded = self.embedding(target, training=training)
        go = self._position_by_position if self.feeds_back else self._all_at_once
        outputs, weights = go(embedded, state, memory, training)
        return self.dropout(outputs, training=training), weights

    def _all_at_once(self, embedded, state, memory, training):
        hidden, _ = self.stack(embedded, state["recurrent"], training=training)
        if self.attention is None:
            shape = (*ops.shape(embedded)[:2], ops.shape(memory.mask)[1])
            return hidden, ops.zeros(shape, "float32")
        context, weights = self._look(hidden, state, memory, None, training)
        return self._read_out(hidden, context, embedded), weights

    def _position_by_position(self, embedded, state, memory, training):
        draws = {"stack": self.stack.draw(embedded, training)}
        draws["attention"] = self.attention.draw(ops.shape(embedded)[1], memory, training)

        def step(inputs, state):
            output, state, weights = self._advance(inputs["embedded"], state, memory, inputs["draws"], training)
            return {"output": output, "weights": weights}, state

        outputs = {
            "output": self._no_outputs(state["recurrent"]),
            "weights": ops.zeros_like(memory.mask, self.attention.weights_dtype),
        }
        with self.stack.one_recurrent_dropout(state["recurrent"], training):
            results = over_time(step, state, outputs, {"embedded": embedded, "draws": draws})
        return results["output"], results["weights"]

    def _advance(self, embedded, state, memory, draws=None, training=False):
        """One position: what the softmax sees `(batch, units)`, the new state, and the weights."""
        draws = draws or {"stack": [], "attention": {}}
        context = weights = None
        if self.wiring.asks and self.wiring.asks != "new":
            query = self._previous_query(state)
            context, weights = self._look(query, state, memory, draws["attention"], training)
        side = state["attentional"] if self.input_feeding else context
        hidden, recurrent = self.stack.step(embedded, state["recurrent"], side, draws["stack"], training)
        if self.wiring.asks == "new":
            context, weights = self._look(hidden, state, memory, draws["attention"], training)
        output = self._read_out(hidden, context, embedded)
        new_state = {"recurrent": recurrent}
        if self.attention is None:
            weights = ops.zeros_like(memory.mask, "float32")
        else:
            new_state["history"] = self.attention.next_history(state["history"], weights)
        if self.input_feeding:
            new_state["attentional"] = output
        return output, new_state, weights

    def _no_outputs(self, recurrent):
        """Zeros in the form of what the softmax sees: `(batch, output_units)`."""
        return ops.zeros((ops.shape(recurrent[0][0])[0], self.output_units), self.compute_dtype)

    def _previous_query(self, state):
        layer = {"previous top": -1, "previous bottom": 0}[self.wiring.asks]
        return state["recurrent"][layer][0]

    def _look(self, query, state, memory, draws, training):
        context, weights = self.attention(
            query,
            memory.values,
            mask=memory.mask,
            keys=memory.keys,
            history=state["history"],
            draws=draws,
            training=training,
        )
        context = ops.cast(context, self.compute_dtype)  # an attention may be in another precision
        return context, weights if self.attention.heads == 1 else ops.mean(weights, axis=1)

    def _read_out(self, hidden, context, embedded):
        if self.attentional is None:
            return hidden
        parts = {"hidden": hidden, "context": context, "embedded": embedded}
        return self.attentional(ops.concatenate([parts[name] for name in self.wiring.readout], axis=-1))

    def _logits(self, outputs):
        return self.embedding.logits(outputs) if self.logits is None else self.logits(outputs)

    @property
    def _softmax(self):
        """Matrix and bias of the softmax, and whether the matrix is an embedding's, with a row for each token."""
        if self.logits is None:
            return self.embedding.table.embeddings, self.embedding.bias, True
        return self.logits.kernel, self.logits.bias, False

    def _refuse_parts_that_do_not_fit(self):
        if self.wiring.asks and self.attention is None:
            raise InputError(f"wiring={self.wiring_name!r} needs an attention; give one, or choose wiring='none'.")
        if self.attention is not None and not self.wiring.asks:
            raise InputError("wiring='none' has no attention, so none can be given; choose wiring='luong' to use it.")
        if self.input_feeding and self.wiring_name != "luong":
            raise InputError(
                f"input_feeding hands on the attentional vector of wiring='luong', but wiring is {self.wiring_name!r}; "
                f"leave one of them out."
            )
        if self.embedding.tied and not self.wiring.readout and self.embedding.units != self.stack.units:
            raise InputError(
                f"With wiring={self.wiring_name!r} the softmax sees the decoder's state itself; tied to the target "
                f"embedding it needs vectors of one size, but the embedding has {self.embedding.units} units and the "
                f"decoder {self.stack.units}; make embedding_units equal to units."
            )

    def get_config(self):
        return {
            **super().get_config(),
            "embedding": keras.layers.serialize(self.embedding),
            "stack": keras.layers.serialize(self.stack),
            "attention": self.attention and keras.layers.serialize(self.attention),
            "wiring": self.wiring_name,
            "input_feeding": self.input_feeding,
            "dropout": self.dropout.rate,
        }
