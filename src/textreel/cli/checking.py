"""What commands that check textual videos share: thresholds, benchmarks, the encoder's length."""

from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

from textreel.cli.errors import OptionError

if TYPE_CHECKING:
    from textreel.synth.check.checker import Checker
    from textreel.synth.check.findings import CheckLimits


def limits_of(options: list[str] | None) -> "CheckLimits":
    """Return the checks' thresholds with those that are given as `NAME=VALUE`."""
    from textreel.synth.check.findings import CheckLimits

    limits = CheckLimits()
    kinds = {field.name: type(getattr(limits, field.name)) for field in fields(limits)}
    given: dict[str, Any] = {}
    for option in options or []:
        name, _, text = option.partition("=")
        if name not in kinds:
            raise OptionError(
                f"there is no limit {name!r}", hint=f"there are: {', '.join(sorted(kinds))}"
            )
        try:
            given[name] = kinds[name](text)
        except ValueError as error:
            kind = kinds[name].__name__
            raise OptionError(f"the limit {name} takes no {text!r}: it is no {kind}") from error
    return replace(limits, **given)


def checker_of(
    *, limits: list[str] | None, benchmarks: list[str] | None, encoder: str | None
) -> "Checker":
    """Return a checker with the options' thresholds, benchmarks and encoder."""
    from textreel.synth.check.checker import Checker
    from textreel.synth.check.overlap import BenchmarkQuestions

    thresholds = limits_of(limits)
    known = BenchmarkQuestions(share=thresholds.benchmark_share)
    for path in benchmarks or []:
        known.add_file(path)
    if encoder is None:
        return Checker(thresholds, benchmarks=known)
    if any(option.startswith("caption_tokens=") for option in limits or []):
        raise OptionError(
            "--encoder brings its own caption_tokens", hint="leave one of the two out"
        )
    from textreel.models.decoder import locate
    from textreel.models.open_encoder import open_text_encoder

    towers = open_text_encoder(locate(encoder))
    thresholds = replace(thresholds, caption_tokens=towers.max_text_tokens)
    return Checker(thresholds, benchmarks=known, count_tokens=towers.count_tokens)
