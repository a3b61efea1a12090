"""What the encoder hands the decoder, worked out once for a source sentence."""

from typing import Any, NamedTuple


class Memory(NamedTuple):
    """The source sentence as the decoder sees it.

    Fields:
        values: `(batch, source_length, memory_units)`, the encoder's states.
        keys: `(batch, source_length, units)`, the values as the attention compares them with its query.
        mask: boolean `(batch, source_length)`, true where there is a token.
    """

    values: Any
    keys: Any
    mask: Any
