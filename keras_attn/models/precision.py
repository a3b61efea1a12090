"""A model in another precision, with the same weights."""


def in_precision(model, policy):
    """A copy of a model all of whose layers have one policy, and whose weights are rounded where that asks for it.

    Args:
        model: a built `AttentionSeq2Seq`.
        policy: the name of a dtype policy of Keras's: `"float32"`, or `"bfloat16"`, in which weights, too, take half as
            much memory and are multiplied faster where the processor has products of bfloat16.

    Returns:
        The copy, built, but not compiled.
    """
    copy = type(model).from_config(_with_policy(model.get_config(), policy))
    copy.build()
    copy.set_weights(model.get_weights())
    return copy


def _with_policy(config, policy):
    """A configuration in which every layer has another policy, the attention that is an argument of the model, too."""
    if isinstance(config, (list, tuple)):
        return [_with_policy(each, policy) for each in config]
    if not isinstance(config, dict):
        return config
    return {name: policy if name == "dtype" else _with_policy(each, policy) for name, each in config.items()}
