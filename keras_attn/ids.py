"""The four token ids that every vocabulary, model and search agrees on."""

PADDING, UNKNOWN, START, END = range(4)

# What no search writes into a target.
NEVER_WRITTEN = (PADDING, START)

SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[START]", "[END]")
