"""What a training run says: what it trains, and how good it became."""

import numpy as np

from keras_attn.tables import measure_name, shown
from keras_attn.training import folder as folders

_EXAMPLES = 8


def describe(config, parts, used, model):
    """Prints how much there is to train on, and how large the model is."""
    print(
        f"{len(parts.train):,} pairs to train on, {len(parts.validation):,} for validation, {len(parts.test):,} to test."
    )
    if used < len(parts.train):
        print(
            f"{len(parts.train) - used:,} pairs have more than {config.max_length} tokens on a side and are left out."
        )
    sizes = model.get_config()
    print(
        f"{sizes['source_vocabulary_size']:,} source {config.source_unit}, {sizes['target_vocabulary_size']:,} target "
        f"{config.target_unit}, {model.count_params():,} parameters."
    )


def worth_drawing(translations):
    """Which to draw first, as indices: those of middling length, since short ones show little and long ones hide it.

    Among targets of one length, such as dates, the length of the source decides.
    """
    lengths = np.array([(len(each.tokens), len(each.source_tokens)) for each in translations])
    from_typical = np.abs(lengths - np.percentile(lengths, 60, axis=0))
    by_target, by_source = from_typical.T
    return [index for index in np.lexsort((by_source, by_target)) if lengths[index, 0]]


def report(sources, references, translations, metrics, folder):
    """Prints some outputs, how good all are, and what lies in the folder of the run."""
    print("\nUnseen examples (source, output, and the right answer where it differs):")
    for index in np.linspace(0, len(sources) - 1, num=min(_EXAMPLES, len(sources)), dtype=int):
        output, right = translations[index].text, references[index]
        print(f"  {sources[index]}\n    {output}" + ("" if output in right else f"\n    ({' or '.join(right)})"))
    print()
    for name, value in metrics.items():
        if name == "exact_match":
            print(f"{shown(name, value)} of {len(sources):,} unseen sources answered to the letter")
        elif name.endswith("_rate"):
            print(f"{shown(name, value)} {measure_name(name)}")
        elif f"{name}_signature" in metrics:
            print(f"{shown(name, value)} {measure_name(name)} ({metrics[f'{name}_signature']})")
    print(f"\nIn {folder}:")
    for name, what in folders.contents(folder):
        print(f"  {name:15} {what}")
