"""`gpt tokenizer report`: tokenizers side by side on one's own text."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from gptrilogy.cli.options import Json

if TYPE_CHECKING:  # the report itself is imported when the verb begins to work
    from gptrilogy.tokenizers.report import Measured, Report, Token

QUICK_S = 2.0  # what is done by then needs no progress
MAX_SHOWN_CHARS = 20
N_SHOWN = 3  # of tokens with a number each; JSON has them all


def report(
    *corpus: str,
    tokenizer: list[str] | None = None,
    limit_bytes: int | None = None,
    text_field: str = "text",
    json: Json = False,
) -> None:
    """Compare tokenizers on your text: what each spends on a word, by script.

    Every token costs a model the same work and the same place in its context,
    so more bytes a token, or fewer tokens a word, is more text for the same.

        gpt tokenizer report novels/ --tokenizer gpt2
        gpt tokenizer report novels/ --tokenizer gpt2 --tokenizer runs/novels

    A word is a run of one script's letters, marks and inner apostrophes. It is
    encoded alone with the space before it, and weighs as often as it occurs:
    exact for GPT-2's kind of tokenizer wherever a space precedes the word,
    approximate elsewhere. Chinese, Japanese, Thai and others are written
    without spaces; there each letter counts.

    Parameters
    ----------
    corpus
        Text files, JSON lines (both also as .gz, .bz2, .xz, .zst), Parquet, folders of these, - for standard input;
        built corpora.
    tokenizer
        A folder with a tokenizer, a run's folder, or a name such as gpt2; give it several times to compare.
    limit_bytes
        Read only this much of the text, from its beginning.
    text_field
        The field of a JSON line, or the column of Parquet, that holds the text.
    json
        Print one JSON document with every number; tokens are written as Python writes strings.

    """
    from gptrilogy.cli.output import print_json, print_note, size
    from gptrilogy.corpus.spooling import held
    from gptrilogy.data.built_corpus import read_texts
    from gptrilogy.errors import ConfigError
    from gptrilogy.tokenizers import load_tokenizer
    from gptrilogy.tokenizers.report import measure
    from gptrilogy.training.progress import ConsoleReporter, duration

    if not corpus or not tokenizer:
        what = "one --tokenizer" if corpus else "one source of text"
        raise ConfigError(f"name at least {what}, for example: gpt tokenizer report novels/ --tokenizer gpt2")
    if limit_bytes is not None and limit_bytes < 1:
        raise ConfigError(f"--limit-bytes must be at least 1, got {limit_bytes}")
    loaded = [load_tokenizer(Path(name)) for name in tokenizer]
    console, started_at = ConsoleReporter(), time.monotonic()

    def progress(n_bytes: int) -> None:
        if time.monotonic() > started_at + QUICK_S:
            console.passing(f"measured {size(n_bytes)} of text")

    def skipped(path: Path, why: str) -> None:
        print_note(f"skipped {_printable(str(path))}: {why}")

    with held(corpus) as sources:
        documents = read_texts(sources, text_field=text_field, on_skip=skipped)
        texts = _limited((document.text for document in documents), limit_bytes)
        measured = measure(texts, loaded, on_progress=progress)
    console.note(f"measured {size(measured.n_bytes)} of text in {duration(time.monotonic() - started_at)}")
    if measured.n_words_left_out:
        print_note(
            f"note: {measured.n_words_left_out:,} words are not in the rows by script: they came when "
            "as many different ones as fit in memory were known"
        )
    if json:
        document = asdict(measured)
        rows = zip(map(_printable, tokenizer), document["tokenizers"], strict=True)
        print_json({**document, "tokenizers": [{"tokenizer": name, **row} for name, row in rows]})
    else:
        _print_report(measured, _labels(tokenizer))


def _limited(texts: Iterable[str], limit_bytes: int | None) -> Iterator[str]:
    """The texts up to a number of bytes; the last one is cut, between characters.

    >>> list(_limited(["né", "né", "more"], 5))
    ['né', 'n']
    """
    if limit_bytes is None:
        yield from texts
        return
    left = limit_bytes
    for text in texts:
        content = text[:left].encode("utf-8")
        yield content[:left].decode("utf-8", errors="ignore")
        left -= len(content)
        if left <= 0:
            return


def _labels(names: Sequence[str]) -> list[str]:
    r"""Column heads that fit: the last part of each path, or all of it where two would be alike.

    >>> _labels(["runs/a", "gpt2"]), _labels(["a/tok", "b/tok"]), _labels(["evil\x1b[2J"])
    (['a', 'gpt2'], ['a/tok', 'b/tok'], ["'evil\\x1b[2J'"])
    """
    last = [Path(name).name or name for name in names]
    return [_printable(name) for name in (last if len(set(last)) == len(set(names)) else names)]


def _printable(name: str) -> str:
    return name if name.isprintable() else repr(name)


def _print_report(report: "Report", labels: Sequence[str]) -> None:
    from gptrilogy.cli.output import print_table, print_text, size

    heads = [f"{label}  " for label in labels]
    legend = "; * marks the best of a row" if len(labels) > 1 else ""
    print_table(f"{size(report.n_bytes)} of text{legend}", [("", *heads), *_totals(report.tokenizers)])
    if report.scripts:
        print_table("tokens a word", [("", "words", *heads), *_costs(report)])
    for label, one in zip(labels, report.tokenizers, strict=True):
        print_text(f"\ntokens of {label}")
        for what, examples in _examples(one):
            print_text(f"  {what:<19}  {examples}")


def _totals(tokenizers: Sequence["Measured"]) -> Iterator[tuple[str, ...]]:
    yield "vocabulary", *_row([one.n_vocab for one in tokenizers], "{:,}")
    yield "tokens of the text", *_row([one.n_tokens for one in tokenizers], "{:,}")
    yield "bytes a token", *_row([one.bytes_per_token for one in tokenizers], "{:.2f}", best=max)
    yield "unused vocabulary", *_row([one.n_unused / one.n_vocab for one in tokenizers], "{:.1%}")
    if any(one.n_unknown is not None for one in tokenizers):
        unknown = [(one.n_unknown or 0) / one.n_tokens if one.n_tokens else None for one in tokenizers]
        yield "unknown tokens", *_row(unknown, "{:.2%}", best=min)


def _costs(report: "Report") -> Iterator[tuple[str, ...]]:
    for script in report.scripts:
        unit = ", a letter" if script.counted == "letter" else ""
        costs = [one.tokens_per_word[script.name] for one in report.tokenizers]
        name = script.name.replace("_", " ") + unit
        yield name, f"{script.n_words:,}", *_row(costs, "{:.2f}", best=min)


def _row(
    values: Sequence[float | None], form: str, *, best: Callable[[Iterable[float]], float] | None = None
) -> list[str]:
    """Values as cells, the best marked as far as the printed digits tell them apart.

    >>> _row([1.204, 1.201, 3], "{:.2f}", best=min), _row([1.204, 1.201], "{:.2f}", best=min)
    (['1.20 *', '1.20 *', '3.00  '], ['1.20  ', '1.20  '])
    """
    cells = ["-" if value is None else form.format(value) for value in values]
    known = [value for value in values if value is not None]
    winner = form.format(best(known)) if best and len(set(cells)) > 1 else None
    return [f"{cell} *" if cell == winner else f"{cell}  " for cell in cells]


def _examples(one: "Measured") -> Iterator[tuple[str, str]]:
    def line(tokens: Iterable["Token"], note: Callable[["Token"], str]) -> str:
        return "   ".join(f"{_shortened(token.text)} {note(token)}".rstrip() for token in tokens) or "none"

    yield "most frequent", line(one.most_frequent, lambda token: f"{token.n_seen / one.n_tokens:.1%}")
    yield "longest seen, bytes", line(one.longest_seen[:N_SHOWN], lambda token: f"{token.size_bytes}")
    yield "longest, bytes", line(one.longest[:N_SHOWN], lambda token: f"{token.size_bytes}")
    yield "unused", line(one.unused, lambda _: "")


def _shortened(text: str) -> str:
    return text if len(text) <= MAX_SHOWN_CHARS else f"{text[: MAX_SHOWN_CHARS - 2]}…{text[-1]}"
