"""Encoder, bridge and decoder as one `keras.Model`."""

import keras
from keras import ops

from keras_attn.ids import PADDING
from keras_attn.layers import Bridge, Decoder, Encoder, Memory


@keras.saving.register_keras_serializable(package="keras_attn")
class AttentionSeq2Seq(keras.Model):
    """A recurrent encoder and decoder with attention in between.

    Trained with Keras's own `compile` and `fit` on `({"source": ids, "target": ids}, labels)`, where the target
    begins with the start token and the labels are the target one step ahead, ending with the end token (teacher
    forcing). Decoded one step at a time through `encode` and `step`, which is all that a search needs.

    Args:
        source_vocabulary_size, target_vocabulary_size: how many ids there are, specials included.
        units: size of each recurrent state and of the attentional vector.
        embedding_units: size of the embeddings; `units` if `None`.
        encoder_layers, decoder_layers: how many recurrent layers.
        cell: `"gru"` or `"lstm"`.
        bidirectional: whether the encoder reads in both directions.
        bridge: `"dense"` or `"copy"`, see `Bridge`.
        project_keys, attention_dropout: as in `BahdanauStyleDotAttention`.
        scaled: whether the scores are divided by the root of their size. Without it the scores of some hundred units
            are so large from the start that the softmax picks one position, gets hardly any gradient and never learns
            where to look.
        dropout: share of embeddings, layer inputs and attentional vector that training sets to zero.

    Call arguments:
        inputs: a dictionary with int `source` `(batch, source_length)` and int `target` `(batch, target_length)`,
            padded with 0 on the right.
        training: whether dropout is on.

    Output:
        Logits `(batch, target_length, target_vocabulary_size)`.

    Raises:
        ValueError: a size is not positive, or a name is unknown.

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
        bidirectional=True,
        bridge="dense",
        project_keys=None,
        scaled=True,
        dropout=0.0,
        attention_dropout=0.0,
        **kwargs,
    ):
        super().__init__(**kwargs)
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
            "project_keys": project_keys,
            "scaled": scaled,
            "dropout": dropout,
            "attention_dropout": attention_dropout,
        }
        _refuse_sizes_below_one(self._arguments)
        shared = {"embedding_units": embedding_units, "cell": cell, "dropout": dropout, "dtype": self.dtype_policy}
        self.encoder = Encoder(
            source_vocabulary_size, units, layers=encoder_layers, bidirectional=bidirectional, **shared
        )
        self.bridge = Bridge(units, decoder_layers, bridge, dtype=self.dtype_policy)
        self.decoder = Decoder(
            target_vocabulary_size,
            units,
            layers=decoder_layers,
            project_keys=project_keys,
            scaled=scaled,
            attention_dropout=attention_dropout,
            **shared,
        )

    def build(self, input_shape=None):
        """Creates the weights; every size is an argument, so no input is needed."""
        if self.built:
            return
        ids_shape = (None, None)
        values_shape = (None, None, self.encoder.memory_units)
        self.encoder.build(ids_shape)
        self.bridge.build(self.encoder.state_shape)
        state_shape = self.bridge.compute_output_shape(self.encoder.state_shape)
        self.decoder.build(ids_shape, state_shape, Memory(values_shape, None, ids_shape))
        self.built = True

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
        return self.decoder.remember(values, mask), self.bridge(state)

    def step(self, tokens, state, memory):
        """Writes one token further: `tokens (batch,) -> logits (batch, target_vocabulary_size), state, weights
        (batch, source_length)`. See `Decoder.step`."""
        return self.decoder.step(tokens, state, memory)

    def attend(self, inputs):
        """Where the model looks when it is given the right target.

        Args:
            inputs: as in a call.

        Returns:
            Attention weights `(batch, target_length, source_length)`.
        """
        memory, state = self.encode(inputs["source"])
        return self.decoder(inputs["target"], state, memory)[1]

    def call(self, inputs, training=None):
        memory, state = self.encode(inputs["source"], training=training)
        logits, _ = self.decoder(inputs["target"], state, memory, training=training)
        return logits

    def get_config(self):
        return {**super().get_config(), **self._arguments}


def _refuse_sizes_below_one(arguments):
    for name, value in arguments.items():
        if name.endswith(("size", "units", "layers")) and value is not None and value < 1:
            raise ValueError(f"{name} is {value}, but it must be 1 or more.")
