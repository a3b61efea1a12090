"""`evaluate`: how good the outputs are, and whether that is more than chance."""

import json
import pathlib
from typing import Any, NamedTuple

from keras_attn.commands.common import (
    add_batch_size,
    add_models,
    add_pairs,
    pairs_of,
    progress,
    require_picture,
    translator_of,
)
from keras_attn.commands.search_options import add_search, refuse_search, refuse_without, search_arguments
from keras_attn.config import CHOICES, TrainingConfig
from keras_attn.errors import InputError
from keras_attn.files import refuse_existing, refuse_one_input_twice, write_text

HELP = "Measures a model, or outputs in a file, against the right answers."
EXAMPLES = """\
  %(prog)s --model runs/dates --held-out test --by-length --json quality.json
  %(prog)s --model runs/dates --tsv pairs.tsv --beam 5 --baseline answers.txt
  %(prog)s --outputs answers.txt --source dates.txt --target right.txt --preset strings
"""


def add_options(command):
    add_models(command, required=False)
    command.add_argument("--outputs", metavar="FILE", help="what a system wrote, line by line, instead of --model")
    add_pairs(command, targets="the right answers")
    command.add_argument(
        "--references", metavar="FILE", help="instead: lines source<TAB>answer<TAB>answer..., each of which is right"
    )
    command.add_argument(
        "--held-out",
        choices=("validation", "test"),
        help="instead: this part of the pairs that the training run of --model held out; --beam and --length-penalty are then "
        "those that the run was measured with, unless they are given",
    )
    command.add_argument(
        "--preset",
        choices=CHOICES["measures"],
        help="text: exact match, BLEU, chrF, error rates of words and tokens; strings: exact match, error rate of "
        "characters; pronunciations: error rates of words and phones (default: that of the run with --held-out, strings "
        "for a model that writes characters, otherwise text)",
    )
    command.add_argument(
        "--bleu-tokenizer",
        choices=CHOICES["bleu_tokenizer"],
        help="sacrebleu's (default: that of the run with --held-out, otherwise 13a)",
    )
    command.add_argument("--baseline", metavar="FILE", help="what another system wrote, for a paired significance test")
    command.add_argument("--by-length", action="store_true", help="also for short, longer and long sources")
    command.add_argument("--plot", metavar="FILE", help="draw the first measure by length: .png, .svg or .pdf")
    command.add_argument(
        "--json", metavar="FILE", help="write all figures there too; - for standard output, without tables"
    )
    command.add_argument("--overwrite", action="store_true", help="replace these files if they are there already")
    command.add_argument(
        "--samples", type=int, default=1000, metavar="N", help="for intervals and test (default: 1,000)"
    )
    add_batch_size(command)
    add_search(command)


def run(options):
    if bool(options.models) == bool(options.outputs):
        raise InputError("The outputs come from --model or from --outputs; give one of the two.")
    if options.outputs:
        refuse_search(options, "--outputs are there already")
        refuse_without(options, "--model", ["ensemble", "held_out", "precision"], there=False)
    if options.samples < 1:
        raise InputError(f"--samples is {options.samples}, but it must be 1 or more.")
    require_picture(options.plot)
    _refuse_one_file_for_two(options)
    for path in (options.json, options.plot):
        if path != "-":
            refuse_existing(path, options.overwrite)
    sources, references, trained = _sources_and_references(options)
    if trained:
        _search_as_it_did(trained, options)
    baseline = _lines_of(options.baseline, sources) if options.baseline else None
    answers = _translated(options, sources) if options.models else _written(options, sources)
    split = str.split
    if answers.processor:
        from keras_attn.evaluation import normalized_references, tokenizer_of

        references = normalized_references(references, answers.processor)
        if baseline:
            (baseline,) = zip(*normalized_references([[text] for text in baseline], answers.processor))
        split = tokenizer_of(answers.processor, answers.texts, *references, baseline or [])
    preset = options.preset or (trained.measures if trained else answers.preset)
    tokenizer = options.bleu_tokenizer or (trained or TrainingConfig).bleu_tokenizer
    record = _measured(options, preset, answers, references, baseline, tokenizer=tokenizer, split=split)
    figures = json.dumps(record, indent=1, ensure_ascii=False)
    if options.json == "-":
        print(figures)
    elif options.json:
        write_text(options.json, figures + "\n")


def _refuse_one_file_for_two(options):
    if options.json and options.plot and pathlib.Path(options.json).resolve() == pathlib.Path(options.plot).resolve():
        raise InputError(f"--json and --plot both write {options.json}; give each a file of its own.")
    inputs = ("outputs", "baseline", "references", "tsv", "source", "target")
    refuse_one_input_twice({f"--{name}": getattr(options, name) for name in inputs})


def _search_as_it_did(trained, options):
    """What is not said of the search is as the run was measured."""
    if options.sample:
        return
    if options.beam is None and trained.beam > 1:
        options.beam = trained.beam
    if options.beam is not None and options.length_penalty is None:
        options.length_penalty = trained.length_penalty


class _Answers(NamedTuple):
    """What is measured, an entry for each source."""

    origin: Any  # the file, or the models and their search
    texts: list
    lengths: list  # of the sources, in tokens
    preset: str  # what suits such texts
    processor: Any = None  # what cuts them into tokens, if a model wrote them


def _translated(options, sources):
    """The answers of the model."""
    search = search_arguments(options)
    translator = translator_of(options, batch_size=options.batch_size, **search)
    translations = [hypotheses[0] for hypotheses in progress(translator.stream(sources), answered=sources)]
    origin = {"models": options.models, **_numbers_and_names(search)}
    origin |= {name: given for name in ("shortlist", "precision") if (given := getattr(options, name))}
    texts = [translation.text for translation in translations]
    lengths = [len(translation.source_tokens) - 1 for translation in translations]
    preset = "strings" if translator.target_text.unit == "characters" else "text"
    return _Answers(origin, texts, lengths, preset, translator.target_text)


def _written(options, sources):
    """The answers in the file."""
    lengths = [len(source.split()) for source in sources]
    return _Answers(options.outputs, _lines_of(options.outputs, sources), lengths, "text")


def _measured(options, preset, answers, references, baseline, **counting):
    """Measures, prints the tables and draws the picture; returns all figures as a dictionary."""
    from keras_attn.about import versions
    from keras_attn.evaluation import by_length, measure
    from keras_attn.significance import confidence_intervals, paired_test
    from keras_attn.tables import length_table, results_table

    outputs = answers.texts
    drawing = {"samples": options.samples, **counting}
    record = {
        "outputs": answers.origin,
        "sources": len(outputs),
        "results": measure(outputs, references, preset, **counting),
        "intervals": confidence_intervals(outputs, references, preset, **drawing),
    }
    if baseline:
        record["baseline"] = {"outputs": options.baseline, "results": measure(baseline, references, preset, **counting)}
        record["paired"] = paired_test(outputs, baseline, references, preset, **drawing)
    if options.json != "-":
        print(results_table(record["results"], record["intervals"], record.get("paired")))
    if options.by_length or options.plot:
        record["by_length"] = by_length(outputs, references, answers.lengths, preset, **counting)
    if options.by_length and options.json != "-":
        print(f"\n{length_table(record['by_length'])}")
    if options.plot:
        from keras_attn.plotting import plot_by_length

        name = pathlib.Path(options.outputs or options.models[0]).stem
        plot_by_length({name: record["by_length"]}, next(iter(record["results"])), options.plot)
    return record | {"versions": versions()}


def _numbers_and_names(search):
    """The arguments of a search that JSON can hold."""
    return {name: value for name, value in search.items() if isinstance(value, (int, float, str))}


def _sources_and_references(options):
    """Sources, for each one a list of references, and the configuration of the run that held them out, or `None`."""
    given = (options.held_out, options.references, options.tsv, options.source, options.target)
    if given == (None,) * len(given):
        raise InputError(
            "The right answers come from --held-out, --tsv, --source and --target, or --references; give one of these."
        )
    if options.held_out is None and options.references is None:
        sources, answers = zip(*_some(pairs_of(options)))
        return list(sources), [[answer] for answer in answers], None
    flag = "--held-out" if options.held_out else "--references"
    if options.tsv or options.source or options.target:
        raise InputError(f"{flag} has sources and answers already; leave out --tsv, --source and --target.")
    if options.held_out and options.references:
        raise InputError("--held-out and --references both have sources and answers; give one of them.")
    if options.held_out:
        from keras_attn.training.held_out import held_out

        return held_out(options.models, options.held_out)
    from keras_attn.data import read_references

    sources, references = zip(*read_references(options.references))
    return list(sources), list(references), None


def _some(pairs):
    pairs = list(pairs)
    if not pairs:
        raise InputError("There are no right answers to measure against; the file is empty.")
    return pairs


def _lines_of(path, sources):
    from keras_attn.data.pairs import read_lines

    lines = list(read_lines(path))
    if len(lines) != len(sources):
        raise InputError(
            f"{path} has {len(lines)} lines, but there are {len(sources)} sources; it must have one for each."
        )
    return lines
