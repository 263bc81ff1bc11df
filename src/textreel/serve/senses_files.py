"""What a run with eyes and ears needs beside its model: `run.json` and `sampling.json`.

config.json, model.safetensors   written by `VideoLlama.save_pretrained`; names the encoders
run.json                         template, how sound is cut, bridges, what the model knows
sampling.json                    which frames of a video are looked at
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from textreel.data.files import check_header, make_header, write_atomic
from textreel.data.prompt import PromptTemplate
from textreel.data.senses_prompt import SensesTemplate
from textreel.media.sampling import SamplingSpec
from textreel.media.sound_clips import SoundClipSpec
from textreel.serve.errors import RunError
from textreel.serve.run_files import BridgeSettings

_KIND = "run of two senses"
_RUN_FILE, _SAMPLING_FILE = "run.json", "sampling.json"
_FIELDS = {"template", "clips", "bridges", "remembers", "knows"}


@dataclass(frozen=True, kw_only=True, slots=True)
class SensesSettings:
    """What turns a trained `VideoLlama` into one that answers about files.

    Attributes:
        template: the words around what is seen and heard.
        sampling: which frames are looked at.
        clips: how a sound is cut.
        bridges: what features pass, by `image` and `sound`; a sense that is missing passes none.
        remembers: whether a conversation shows the model earlier turns.
        knows: all that the model has ever met, in words; empty where no such limit is known.
    """

    template: SensesTemplate
    sampling: SamplingSpec
    clips: SoundClipSpec = field(default_factory=SoundClipSpec)
    bridges: Mapping[str, BridgeSettings] = field(default_factory=dict)
    remembers: bool = False
    knows: str = ""


def save_senses_settings(run: str | Path, settings: SensesSettings) -> None:
    """Write `sampling.json` and, last, `run.json`, each atomically."""
    folder = Path(run)
    values = {
        "template": asdict(settings.template),
        "clips": asdict(settings.clips),
        "bridges": {name: asdict(bridge) for name, bridge in settings.bridges.items()},
        "remembers": settings.remembers,
        "knows": settings.knows,
    }
    write_atomic(folder / _SAMPLING_FILE, settings.sampling.to_json() + "\n")
    text = json.dumps(make_header(_KIND, **values), indent=2, ensure_ascii=False)
    write_atomic(folder / _RUN_FILE, text + "\n")


def load_senses_settings(run: str | Path) -> SensesSettings:
    """Read what `save_senses_settings` wrote.

    Raises:
        RunError: a field is missing or unknown.
        FormatError: not such a run, or one written by a newer version.
        SamplingError: `sampling.json` holds no sampling rule.
    """
    path = Path(run) / _RUN_FILE
    try:
        read = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise RunError(f"{path} is not JSON: {error}") from error
    header = dict(check_header(read, kind=_KIND, path=path))
    values: dict[str, Any] = {
        k: v for k, v in header.items() if k not in ("format", "kind", "version")
    }
    if odd := sorted(values.keys() ^ _FIELDS):
        raise RunError(f"{path}: fields that are missing or unknown: {', '.join(odd)}")
    try:
        words = PromptTemplate(**values["template"].pop("words"))
        return SensesSettings(
            template=SensesTemplate(words=words, **values["template"]),
            sampling=SamplingSpec.from_json((Path(run) / _SAMPLING_FILE).read_text("utf-8")),
            clips=SoundClipSpec(**values["clips"]),
            bridges={name: BridgeSettings(**one) for name, one in values["bridges"].items()},
            remembers=values["remembers"],
            knows=values["knows"],
        )
    except (TypeError, KeyError, AttributeError) as error:
        raise RunError(
            f"{path}: fields of a part of it are not the known ones ({error})"
        ) from error
