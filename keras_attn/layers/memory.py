"""What the encoder hands the decoder, worked out once for a source sentence."""

from typing import Any, NamedTuple


class Memory(NamedTuple):
    """The source sentence as the decoder sees it.

    Fields:
        values: `(batch, source_length, memory_units)`, the encoder's states; with several heads their projections,
            `(batch, heads, source_length, units / heads)`.
        keys: the same as the score compares them with its query; the last dimension may differ.
        mask: boolean `(batch, source_length)`, true where there is a token.
    """

    values: Any
    keys: Any
    mask: Any
