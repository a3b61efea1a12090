"""How a decoder's attention and its recurrent layers are joined: one row for each paper."""

from typing import NamedTuple


class Wiring(NamedTuple):
    """What asks, what the context vector joins, and what the softmax sees.

    Fields:
        asks: whose hidden state is the query: `"new"`, the top layer's at this position; `"previous top"` or
            `"previous bottom"`, that layer's at the position before; or `None`, there is no attention.
        context_joins: the layers whose input the context vector joins: `"none"`, `"first"` or `"all"`.
        readout: what goes, side by side, through the tanh layer before the softmax; where there is nothing, the softmax
            sees the top layer's output itself.
    """

    asks: str | None
    context_joins: str
    readout: tuple


WIRINGS = {
    # Luong et al. 2015, equation 5: look with the new state, then join what was seen to it.
    "luong": Wiring("new", "none", ("hidden", "context")),
    # Bahdanau et al. 2015, equations 4 to 6: look with the previous state, and let the recurrent step read the context.
    "bahdanau": Wiring("previous top", "first", ("hidden", "context", "embedded")),
    # Wu et al. 2016, equation 4 and figure 1: the bottom layer looks, and all layers read the context.
    "gnmt": Wiring("previous bottom", "all", ()),
    # Sutskever et al. 2014, Cho et al. 2014: all that is known of the source is the state that the decoder starts from.
    "none": Wiring(None, "none", ()),
}
