"""The four token ids that every vocabulary, model and search agrees on."""

PADDING, UNKNOWN, START, END = range(4)

SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[START]", "[END]")
