"""Encoder, bridge and decoder as one `keras.Model`."""

import math
from collections.abc import Mapping

import keras
from keras import ops

from keras_attn import functional
from keras_attn.errors import InputError, require_count
from keras_attn.ids import PADDING, SPECIAL_TOKENS
from keras_attn.kernels.fused import forget_origin
from keras_attn.layers import Attention, Bridge, Decoder, Encoder, RecurrentStack, TokenEmbedding
from keras_attn.layers.parts import part


@keras.saving.register_keras_serializable(package="keras_attn")
class AttentionSeq2Seq(keras.Model):
    """A recurrent encoder and decoder with attention in between.

    Trained with Keras's own `compile` and `fit` on `({"source": ids, "target": ids}, labels)`, where the target
    begins with the start token and the labels are the target one step ahead, ending with the end token (teacher
    forcing). Decoded one step at a time through `encode` and `step`, which is all that a search needs.

    Args:
        source_vocabulary_size, target_vocabulary_size: how many ids there are, specials included.
        units: size of each recurrent state, and of the attentional vector unless the softmax is tied.
        embedding_units: size of the embeddings; `units` if `None`.
        encoder_layers, decoder_layers: how many recurrent layers.
        cell: `"gru"` or `"lstm"`.
        bidirectional: whether the encoder reads in both directions, `"first"`: in its lowest layer alone. `None`:
            as the wiring's paper has it, that is `"first"` for `"gnmt"` and `True` otherwise.
        bridge: what the decoder starts from, `"dense"`, `"copy"`, `"mean"` or `"zero"`, see `Bridge`.
        wiring: how attention and recurrent layers are joined, `"luong"`, `"bahdanau"`, `"gnmt"` or `"none"`, see
            `Wiring`.
        attention: the name of a score, or an `Attention` of any kind, of which the model makes its own copy, with that
            layer's precision. `None`: `"scaled-dot"`, or no attention with the wiring `"none"`. Dot products that are not
            scaled grow with the units; with some hundreds of them the softmax picks one position from the start, gets
            hardly any gradient and is slow to learn where to look.
        input_feeding: whether the attentional vector joins the next position's input (wiring `"luong"`).
        coverage_loss: how much of `functional.coverage_loss` is added to the loss in `fit`, as a mean over all real
            tokens.
        residual: whether each layer's input is added to its output, see `RecurrentStack`. `None`: with the wiring
            `"gnmt"`, as in its paper, though there from the third layer on.
        layer_normalization: whether each recurrent layer's output is normalised.
        dropout: share of each recurrent layer's input and of the attentional vector that training sets to zero.
        token_dropout: share of the tokens whose embedding training sets to zero as a whole.
        recurrent_dropout: share of the recurrent states that training hides, the same at all positions.
        tied_softmax: whether the target embedding is also the matrix of the softmax; the attentional vector then has its
            size.
        tied_embeddings: whether source and target have one embedding, for a vocabulary that they share.

    Call arguments:
        inputs: a dictionary with int `source` `(batch, source_length)` and int `target` `(batch, target_length)`,
            padded with 0 on the right.
        training: whether dropout is on.

    Output:
        Logits `(batch, target_length, target_vocabulary_size)`.

    Raises:
        InputError: a size is not positive, a name is unknown, or the parts do not go together.

    Example:
        >>> model = AttentionSeq2Seq(source_vocabulary_size=100, target_vocabulary_size=50, units=16)
        >>> model.compile("adam", MaskedCrossEntropy(), metrics=[TokenAccuracy()])
        >>> history = model.fit({"source": source, "target": target}, labels)
    """

    def __init__(
        self,
        source_vocabulary_size,
        target_vocabulary_size,
        units=256,
        embedding_units=None,
        encoder_layers=1,
        decoder_layers=1,
        cell="gru",
        bidirectional=None,
        bridge="dense",
        wiring="luong",
        attention=None,
        input_feeding=False,
        coverage_loss=0.0,
        residual=None,
        layer_normalization=False,
        dropout=0.0,
        token_dropout=0.0,
        recurrent_dropout=0.0,
        tied_softmax=False,
        tied_embeddings=False,
        **kwargs,
    ):
        super().__init__(**kwargs)
        policy = {"dtype": self.dtype_policy}
        attention = _own_attention(attention, wiring, policy)
        self._arguments = {
            "source_vocabulary_size": source_vocabulary_size,
            "target_vocabulary_size": target_vocabulary_size,
            "units": units,
            "embedding_units": embedding_units,
            "encoder_layers": encoder_layers,
            "decoder_layers": decoder_layers,
            "cell": cell,
            "bidirectional": bidirectional,
            "bridge": bridge,
            "wiring": wiring,
            "attention": attention and keras.layers.serialize(attention),
            "input_feeding": input_feeding,
            "coverage_loss": coverage_loss,
            "residual": residual,
            "layer_normalization": layer_normalization,
            "dropout": dropout,
            "token_dropout": token_dropout,
            "recurrent_dropout": recurrent_dropout,
            "tied_softmax": tied_softmax,
            "tied_embeddings": tied_embeddings,
        }
        _refuse_what_does_not_fit(self._arguments)
        if bidirectional is None:
            bidirectional = "first" if wiring == "gnmt" else True
        stack = {
            "cell": cell,
            "residual": wiring == "gnmt" if residual is None else residual,
            "layer_normalization": layer_normalization,
            "dropout": dropout,
            "recurrent_dropout": recurrent_dropout,
            **policy,
        }
        embedding = {"units": embedding_units or units, "token_dropout": token_dropout, **policy}
        target_embedding = TokenEmbedding(target_vocabulary_size, tied=tied_softmax, **embedding)
        source_embedding = target_embedding if tied_embeddings else TokenEmbedding(source_vocabulary_size, **embedding)
        encoder_stack = RecurrentStack(units, encoder_layers, bidirectional=bidirectional, **stack)
        decoder_stack = RecurrentStack(units, decoder_layers, **stack)
        if residual and not encoder_stack.residual_connections + decoder_stack.residual_connections:
            raise InputError(
                "residual connections go between layers of one size, but no two of these follow each other; choose more "
                "layers."
            )
        self.coverage_loss = coverage_loss
        self.encoder = Encoder(source_embedding, encoder_stack, **policy)
        self.bridge = Bridge(units, decoder_layers, bridge, **policy)
        self.decoder = Decoder(
            target_embedding,
            decoder_stack,
            attention,
            wiring=wiring,
            input_feeding=input_feeding,
            dropout=dropout,
            **policy,
        )

    def __call__(self, inputs, *arguments, **options):
        _refuse_other_inputs(inputs)  # here, as Keras hides what is said in `call` behind a list of arguments
        return super().__call__(inputs, *arguments, **options)

    def build(self, input_shape=None):
        """Creates the weights; every size is an argument, so no input is needed."""
        if self.built:
            return
        ids_shape = (None, None)
        values_shape = (None, None, self.encoder.memory_units)
        self.encoder.build(ids_shape)
        self.bridge.build(self.encoder.state_shape, values_shape)
        self.decoder.build(ids_shape, values_shape)
        self.built = True

    def make_train_function(self, force=False):
        """Keras's own. TensorFlow traces a step twice if the first time makes variables, so they are made before."""
        self.build()
        if not self.optimizer.built:
            self.optimizer.build(self.trainable_variables)
        return super().make_train_function(force)

    def encode(self, source, training=None):
        """Reads the source sentences.

        Args:
            source: int `(batch, source_length)`, padded with 0 on the right.
            training: whether dropout is on.

        Returns:
            The `Memory` of the sentences, and the decoder's first state.
        """
        mask = ops.not_equal(source, PADDING)
        values, state = self.encoder(source, mask, training=training)
        memory = self.decoder.remember(values, mask)
        return memory, self.decoder.first_state(self.bridge(state, values, mask), memory)

    def step(self, tokens, state, memory, projection=None, logit_mask=0.0):
        """Writes one token further: `tokens (batch,) -> logits (batch, target_vocabulary_size), state, weights
        (batch, source_length)`. See `Decoder.step`."""
        return self.decoder.step(tokens, state, memory, projection, logit_mask)

    def output_projection(self, ids):
        """What `step` needs for the logits of some target ids alone, see `Decoder.output_projection`."""
        return self.decoder.output_projection(ids)

    def teacher_forced(self, inputs, training=None):
        """What the model expects after each token of the right target, and where it looks.

        Args:
            inputs, training: as in a call.

        Returns:
            Logits `(batch, target_length, target_vocabulary_size)` and attention weights
            `(batch, target_length, source_length)`.
        """
        _refuse_other_inputs(inputs)
        memory, state = self.encode(inputs["source"], training=training)
        return self.decoder(inputs["target"], state, memory, training=training)

    def attend(self, inputs):
        """Where the model looks when it is given the right target.

        Args:
            inputs: as in a call.

        Returns:
            Attention weights `(batch, target_length, source_length)`.
        """
        return self.teacher_forced(inputs)[1]

    def call(self, inputs, training=None):
        logits, weights = self.teacher_forced(inputs, training)
        if self.coverage_loss:
            self.add_loss(self.coverage_loss * _mean_coverage_loss(weights, inputs["target"]))
        if not self.compiled or self.jit_compile:
            # XLA knows no shapes that depend on what is real, and another's loop, or model around this one, may use it.
            forget_origin(logits)
        return logits

    def export(self, filepath, format="tf_saved_model", verbose=None, input_signature=None, **kwargs):
        """Keras's own, of the call. Unless told otherwise, it takes int32 ids of any number and length; Keras alone would
        take floats. What translates is exported by a `Translator`."""
        if input_signature is None:
            ids = {"shape": (None, None), "dtype": "int32"}
            input_signature = [{name: keras.InputSpec(name=name, **ids) for name in ("source", "target")}]
        super().export(filepath, format=format, verbose=verbose, input_signature=input_signature, **kwargs)

    def quantize(self, *arguments, **options):
        """Raises an `InputError`: the loss and the searches multiply with weights as they are."""
        raise InputError("This model cannot be quantized; train a smaller one, or export it as it is.")

    def get_config(self):
        return {**super().get_config(), **self._arguments}


def _own_attention(attention, wiring, policy):
    """A layer of the model's own, from whatever its argument may be; `None` where the wiring has none."""
    if attention is None:
        return None if wiring == "none" else Attention("scaled-dot", **policy)
    if isinstance(attention, str):
        return Attention(attention, **policy)
    if isinstance(attention, dict):
        return part(attention)
    if not isinstance(attention, Attention):
        raise InputError(
            f"attention is {attention!r}, but it must be the name of a score or an Attention; put a score or an alignment "
            f"into one."
        )
    return type(attention).from_config(attention.get_config())


def _mean_coverage_loss(weights, target):
    real = ops.cast(ops.not_equal(target, PADDING), "float32")
    total = ops.sum(functional.coverage_loss(weights) * real)
    return total / ops.maximum(ops.sum(real), 1.0)


def _refuse_other_inputs(inputs):
    if not isinstance(inputs, Mapping):
        given = f"a {type(inputs).__name__}"
    elif missing := {"source", "target"} - set(inputs):
        given = f"one without {' and '.join(map(repr, sorted(missing)))}"
    else:
        return _refuse_other_shapes(*(getattr(inputs[name], "shape", None) for name in ("source", "target")))
    raise InputError(
        f"The model reads a dictionary, but was given {given}; give it {{'source': ids, 'target': ids}}, both "
        f"(batch, length)."
    )


def _refuse_other_shapes(*shapes):
    if any(shape is None or getattr(shape, "rank", 2) is None for shape in shapes):
        return  # nobody knows yet
    source, target = map(tuple, shapes)
    if len(source) != 2 or len(target) != 2:
        raise InputError(f"Source and target must be ids (batch, length), but have the shapes {source} and {target}.")
    if None not in (source[0], target[0]) and source[0] != target[0]:
        raise InputError(f"There are {source[0]} sources and {target[0]} targets; there must be one for each.")
    if 0 in (source[1], target[1]):
        raise InputError(
            "Source or target has no column; a source holds its end token at least, a target its start token."
        )


def _refuse_what_does_not_fit(arguments):
    require_count(**{name: value for name, value in arguments.items() if name.endswith(("units", "layers"))})
    vocabulary_sizes = {name: value for name, value in arguments.items() if name.endswith("vocabulary_size")}
    require_count(len(SPECIAL_TOKENS), **vocabulary_sizes)
    sizes = arguments["source_vocabulary_size"], arguments["target_vocabulary_size"]
    if arguments["tied_embeddings"] and sizes[0] != sizes[1]:
        raise InputError(
            f"tied_embeddings needs one vocabulary for source and target, but they have {sizes[0]} and {sizes[1]} ids; "
            f"learn one from both sides, or leave it out."
        )
    if arguments["bidirectional"] not in (True, False, "first", None):
        raise InputError(
            f"bidirectional is {arguments['bidirectional']!r}, but only True, False, 'first' and None are known."
        )
    if not 0 <= arguments["coverage_loss"] < math.inf:
        raise InputError(f"coverage_loss is {arguments['coverage_loss']}, but it must be 0 or more.")
    if arguments["coverage_loss"] and arguments["attention"] is None:
        raise InputError("coverage_loss needs attention weights, but wiring='none' has none; leave one of them out.")
