"""Every `raise` has a test that matches its text.

For each exception that `src` raises with a text of its own, some string of the tests (a `match=`,
a comparison) must hold three words in a row of the text's constant pieces, or, where the string is
short, two of them in a row. A text of shorter pieces must be matched by its longest piece. What is
raised without a text of its own (a re-raise, a prepared error) is not looked at.
"""

import ast
import re
from collections.abc import Iterator

import pytest

from tests.source import Source, package_sources, sources_of_tests

WINDOW = 3
SHORT_STRING_WORDS = 8
WEAK = set(
    "a an the of in on at to is are was no not and or by for with it its this that be".split()
)
HOLE = "\0"  # stands for whatever an f-string fills in


def template(node: ast.AST | None) -> str | None:
    """The constant pieces of a string expression, with holes between them; None for others."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(template(v) or HOLE for v in node.values)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return (template(node.left) or HOLE) + (template(node.right) or HOLE)
    if isinstance(node, ast.IfExp):
        return f"{template(node.body) or ''}{HOLE}{template(node.orelse) or ''}"
    return None


def raised_texts(source: Source) -> Iterator[tuple[str, str]]:
    """(place, template) of every text that an exception is made with."""
    for node in ast.walk(source.tree):
        call = node.exc if isinstance(node, ast.Raise) else node
        if not isinstance(call, ast.Call):
            continue
        is_super = ast.unparse(call.func) == "super().__init__"
        if not (isinstance(node, ast.Raise) or is_super):
            continue
        texts = [template(arg) for arg in call.args]
        texts += [template(k.value) for k in call.keywords if k.arg in {"message", "cause"}]
        longest = max((t for t in texts if t), key=len, default="")
        if longest.strip(HOLE + " "):
            yield source.at(node), longest


def words(text: str) -> list[str]:
    return re.findall(r"[\w`'.-]+", text.lower())


def runs(piece: list[str], size: int) -> set[tuple[str, ...]]:
    """All `size` words in a row of `piece`, without those made of weak words only."""
    found = {tuple(piece[i : i + size]) for i in range(len(piece) - size + 1)}
    return {run for run in found if not WEAK.issuperset(run)}


def demands(text: str) -> set[tuple[str, ...]]:
    """The word sequences of which one must occur in a test."""
    pieces = [words(piece) for piece in text.split(HOLE)]
    pairs = {run for piece in pieces for size in (2, WINDOW) for run in runs(piece, size)}
    return pairs or {tuple(max(pieces, key=len))}


def offers(text: str) -> set[tuple[str, ...]]:
    """The word sequences that a string of a test, perhaps a regular expression, answers for."""
    pieces = [words(re.sub(r"\\(.)", r"\1", piece)) for piece in text.split(".*")]
    short = sum(map(len, pieces)) <= SHORT_STRING_WORDS
    sizes = (1, 2, WINDOW) if short else (WINDOW,)
    return {run for piece in pieces for size in sizes for run in runs(piece, size)}


def offered_by_tests() -> set[tuple[str, ...]]:
    strings = (
        node.value
        for source in sources_of_tests()
        for node in ast.walk(source.tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    )
    return {run for text in strings for run in offers(text)}


def test_every_raised_text_is_matched_by_a_test() -> None:
    raised = [pair for source in package_sources() for pair in raised_texts(source)]
    assert len(raised) > 20
    known = offered_by_tests()
    untested = [
        f"{place}: {text.replace(HOLE, '...')!r}"
        for place, text in raised
        if known.isdisjoint(demands(text))
    ]
    assert not untested, f"{len(untested)} of {len(raised)} texts:\n" + "\n".join(untested)


@pytest.mark.parametrize(
    ("code", "wanted"),
    [
        ("raise ValueError('no such file at all')", "no such file at all"),
        ("raise ValueError(f'{n} of {m} videos are bad')", f"{HOLE} of {HOLE} videos are bad"),
        ("raise ValueError('a ' + name)", f"a {HOLE}"),
        ("raise MediaError(path, cause='not a video file')", "not a video file"),
        ("class E(ValueError):\n  def __init__(self): super().__init__('too bad here')", None),
    ],
)
def test_texts_are_found(code: str, wanted: str | None) -> None:
    source = package_sources()[0]
    texts = [t for _, t in raised_texts(Source(source.path, "a.py", code, ast.parse(code)))]
    assert texts == [wanted or "too bad here"]


def test_a_bare_raise_is_not_looked_at() -> None:
    code = "raise\nraise error\nraise ValueError(message)"
    source = package_sources()[0]
    assert list(raised_texts(Source(source.path, "a.py", code, ast.parse(code)))) == []


def test_demands_are_words_in_a_row_or_the_longest_piece() -> None:
    assert demands(f"a big{HOLE}red fish of") == {
        ("a", "big"),
        ("red", "fish"),
        ("fish", "of"),
        ("red", "fish", "of"),
    }
    assert demands(f"x{HOLE}clip") == {("x",)}


def test_long_strings_answer_for_three_words_only() -> None:
    assert ("clip", "lost") in offers(r"the clip lost \d+")
    assert ("clip", "lost") not in offers("here are nine words about one clip lost yesterday")
    assert ("one", "clip", "lost") in offers("here are nine words about one clip lost yesterday")
    assert ("clip", "lost") not in offers("clip.*lost")
