"""How targets are searched for, as options and as arguments of `Translator`."""

import argparse

from keras_attn.config import flag
from keras_attn.errors import InputError
from keras_attn.files import read_json

_OF_BEAM = ("lookahead",)
_OF_RANKING = ("length_penalty", "coverage_penalty")
_OF_SAMPLING = ("temperature", "top_k", "top_p", "seed")
_CONSTRAINTS = ("min_length", "no_repeat_ngram", "repetition_penalty")
_OF_TOKENS = ("forbid", "shortlist", "replace_unknown", "lexicon")


def add_search(command, n_best=None):
    """The options of a search.

    Args:
        command: an `argparse` parser.
        n_best: what it does with the N best of each text; `None`: nothing, so that they cannot be asked for.
    """
    command.set_defaults(n_best=None)
    search = command.add_argument_group("search")
    search.add_argument("--beam", type=int, metavar="N", help="targets side by side; the default is greedy search")
    search.add_argument("--sample", action="store_true", help="draw the tokens by their probabilities")
    if n_best:
        search.add_argument("--n-best", type=int, metavar="N", help=n_best)
    search.add_argument(
        "--max-length",
        type=int,
        metavar="N",
        help="tokens of a target at most (default: 256), and no more than twice those of its source and 50",
    )
    search.add_argument(
        "--min-length", type=int, metavar="N", help="tokens of a target at least, but no more than that"
    )
    search.add_argument(
        "--length-penalty", type=_length_penalty, metavar="X", help="GNMT's, from 0 upwards, or average (default: 0)"
    )
    search.add_argument("--coverage-penalty", type=float, metavar="X", help="GNMT's, from 0 upwards (default: 0)")
    search.add_argument(
        "--lookahead", type=int, metavar="N", help="end once no target can be better within N tokens (default: 10)"
    )
    search.add_argument("--temperature", type=float, metavar="X", help="of --sample, above 0 (default: 1)")
    search.add_argument("--top-k", type=int, metavar="N", help="let --sample draw from the N most probable tokens")
    search.add_argument("--top-p", type=float, metavar="P", help="or from those that reach this probability together")
    search.add_argument("--seed", type=int, metavar="N", help="of --sample (default: 0)")
    search.add_argument(
        "--forbid", metavar="TOKEN", action="append", default=[], help="never write this token; repeatable"
    )
    search.add_argument("--no-repeat-ngram", type=int, metavar="N", help="write no N tokens in a row twice")
    search.add_argument(
        "--repetition-penalty", type=float, metavar="X", help="weaken tokens written already (default: 1)"
    )
    search.add_argument(
        "--shortlist", metavar="FILE", help="look at no tokens but these, which is faster; see keras-attn shortlist"
    )
    unknown = command.add_mutually_exclusive_group()
    unknown.add_argument(
        "--replace-unknown", action="store_true", help="for an unknown token, copy the source word looked at most"
    )
    unknown.add_argument(
        "--lexicon", metavar="FILE", help="for an unknown token, look that word up in lines source<TAB>target"
    )


def search_arguments(options):
    """What `Translator` is to be made with.

    Raises:
        InputError: options do not go together.
    """
    if options.beam is not None and options.sample:
        raise InputError("--beam and --sample are two searches; choose one of them.")
    refuse_without(options, "--sample", _OF_SAMPLING, options.sample)
    refuse_without(options, "--beam", _OF_BEAM, options.beam is not None)
    refuse_without(options, "--beam or --sample", _OF_RANKING, options.beam is not None or options.sample)
    for name in ("beam", "n_best"):
        if getattr(options, name) is not None and getattr(options, name) < 1:
            raise InputError(f"{flag(name)} is {getattr(options, name)}, but it must be 1 or more.")
    if options.beam is not None and _count(options) > options.beam:
        raise InputError(
            f"--n-best is {options.n_best}, but --beam {options.beam} finds no more than {options.beam}; widen it."
        )
    names = ("max_length", *_OF_BEAM, *_OF_RANKING, *_OF_SAMPLING, *_CONSTRAINTS)
    given = {name: getattr(options, name) for name in names if getattr(options, name) is not None}
    given["replace_unknown"] = _replacement(options)
    if options.forbid:
        given["forbidden"] = options.forbid
    if options.shortlist is not None:
        given["shortlist"] = read_json(options.shortlist)
    from keras_attn.decoding import BeamSearch, GreedyDecoder, Sampling

    if options.sample:
        return given | {"search": Sampling, "count": _count(options)}
    constrained = (
        any(name in given for name in ("forbidden", *_CONSTRAINTS)) or getattr(options, "prefix", None) is not None
    )
    if options.beam is None and options.n_best is None and not constrained:
        return given | {"search": GreedyDecoder}
    if options.beam is None and _count(options) > 1:
        raise InputError(f"--n-best {options.n_best} needs a search that finds as many; add --beam or --sample.")
    return given | {
        "search": BeamSearch,
        "width": 1 if options.beam is None else options.beam,
        "count": _count(options),
    }


def _count(options):
    return 1 if options.n_best is None else options.n_best


def _replacement(options):
    if options.lexicon is None:
        return "copy" if options.replace_unknown else None
    from keras_attn.data import read_tsv

    return dict(read_tsv(options.lexicon))


def refuse_search(options, why):
    """Raises an `InputError` where an option of a search is given although nothing is searched for."""
    of_searches = (*_OF_BEAM, *_OF_RANKING, *_OF_SAMPLING, *_CONSTRAINTS, *_OF_TOKENS)
    for name in ("beam", "sample", "n_best", "max_length", *of_searches):
        if getattr(options, name) not in (None, False, []):
            raise InputError(f"{flag(name)} is for a search, but {why}; leave it out.")


def refuse_without(options, needed, names, there):
    """Raises an `InputError` where an option is given without what it belongs to."""
    for name in names:
        if getattr(options, name) is not None and not there:
            raise InputError(f"{flag(name)} is for {needed}; add that, or leave it out.")


def _length_penalty(text):
    try:
        return text if text == "average" else float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is neither a number nor average") from None
