"""The model that a configuration describes, and how it is trained."""

import contextlib

import keras

from keras_attn.layers import AdditiveScore, Attention, LocalAlignment, LocationScore, PredictiveAlignment
from keras_attn.models import AttentionSeq2Seq, FusedAdam, MaskedCrossEntropy, TokenAccuracy


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
    with precision(config.precision):
        return _new_model(config, source_vocabulary_size, target_vocabulary_size)


@contextlib.contextmanager
def precision(name):
    """All layers that are made meanwhile compute in it, so far as a policy of Keras's says so."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy({"bfloat16_products": "float32"}.get(name, name))
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
        dropout=config.dropout or 0.0,  # open until the pairs are counted, see `TrainingConfig.suited_to`
        token_dropout=config.token_dropout,
        recurrent_dropout=config.recurrent_dropout,
        tied_softmax=config.tied_softmax,
        tied_embeddings=config.tied_embeddings,
    )


def model_to_train(config, texts, batches):
    """The model for these two text processors, compiled for epochs of that many batches.

    Adam has a warm-up and then a cosine that falls to zero with the last epoch. What `config.weight_decay` takes away from
    the weights is no part of the gradient (Loshchilov and Hutter 2019, arXiv 1711.05101). With `config.ema` it keeps moving
    averages of the weights, see `MovingAverages`.
    """
    model = new_model(config, *(text.vocabulary_size for text in texts))
    steps = config.epochs * batches
    warmup = min(400, steps // 10)
    rate = keras.optimizers.schedules.CosineDecay(
        0.0, steps - warmup, warmup_target=config.learning_rate, warmup_steps=warmup
    )
    averages = {"use_ema": True, "ema_momentum": config.ema} if config.ema else {}
    model.compile(
        optimizer=FusedAdam(rate, weight_decay=config.weight_decay or None, global_clipnorm=1.0, **averages),
        loss=MaskedCrossEntropy(config.label_smoothing),
        metrics=[TokenAccuracy()],
    )
    return model
