"""Where an encoder's files are, and which revision they are.

    name or folder  --find_encoder-->  EncoderFiles(name, path, revision)

A folder is used as it is; its revision is the sha256 of every file that can change a feature
(weights, configuration, pixel settings, tokenizer), so a copy elsewhere is the same encoder. A
Hugging Face id is looked up in the local cache first and downloaded only when it is not there
whole; its revision is the commit. A cached snapshot is used without asking the network, so that
a run does not change under its user because upstream did.
"""

import functools
import hashlib
import json
import logging
import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import HfApi, constants, snapshot_download, try_to_load_from_cache
from huggingface_hub.errors import (  # type: ignore[attr-defined]  # HTTPError: its client's own
    GatedRepoError,
    HTTPError,
    RepositoryNotFoundError,
)

from textreel.models.encoder_errors import EncoderError, EncoderUnavailableError
from textreel.models.missing import HUB_ID, way_out

_log = logging.getLogger("textreel.models")

_SAFE_WEIGHTS = re.compile(r"model(-\d+-of-\d+)?\.safetensors")
_OLD_WEIGHTS = re.compile(r"pytorch_model(-\d+-of-\d+)?\.bin")
_SETTINGS = frozenset(
    {
        "added_tokens.json",
        "config.json",
        "merges.txt",
        "model.safetensors.index.json",
        "preprocessor_config.json",
        "processor_config.json",
        "pytorch_model.bin.index.json",
        "sentencepiece.bpe.model",
        "special_tokens_map.json",
        "spiece.model",
        "tokenizer.json",
        "tokenizer.model",
        "tokenizer_config.json",
        "vocab.json",
        "vocab.txt",
    }
)


@dataclass(frozen=True, kw_only=True, slots=True)
class EncoderFiles:
    """One encoder on this machine.

    Attributes:
        name: the Hugging Face id, or the folder's own name (no path: results do not depend on
            where the folder lies).
        path: the folder that holds the files.
        revision: commit of a Hugging Face id; `sha256:` and 64 hex digits for a folder.
    """

    name: str
    path: Path
    revision: str


def find_encoder(name_or_path: str | Path) -> EncoderFiles:
    """Return where the named encoder is, downloading it if it is an id that is not cached.

    Raises:
        EncoderError: neither a folder with a model nor a known id.
        EncoderUnavailableError: an id that is not cached, with no network or no permission.
    """
    folder = Path(name_or_path).expanduser()
    if folder.is_dir():
        if not _is_whole(folder):
            raise EncoderError(
                f"the folder {folder} holds no whole model: config.json and model.safetensors "
                f"(or all of its parts) are needed",
                hint="give the folder that `save_pretrained` wrote, or a Hugging Face id",
            )
        name = folder.resolve().name
        return EncoderFiles(name=name, path=folder, revision=_content_revision(folder))
    name = str(name_or_path)
    path = find_in_hub(name)
    return EncoderFiles(name=name, path=path, revision=path.name)


def find_in_hub(name: str, *, what: str = "encoder", also: Collection[str] = ()) -> Path:
    """Return the folder of a Hugging Face id in the cache, downloading it if it is not there.

    Args:
        name: the id.
        what: what it should be, for messages.
        also: files that are wanted beside those of an encoder, where there are such.

    Raises:
        EncoderError: no id, or none that Hugging Face knows.
        EncoderUnavailableError: not cached, and no network or no permission.
    """
    if not HUB_ID.fullmatch(name):
        raise EncoderError(
            f"no folder {name}, and it does not look like a Hugging Face id",
            hint="check the path; or give an id such as openai/clip-vit-large-patch14",
        )
    return _cached(name) or _download(name, what=what, also=also)


def known_revision(name_or_path: str | Path) -> str:
    """Return the revision of an encoder that is on this machine, or an empty string.

    Nothing is downloaded.
    """
    folder = Path(name_or_path).expanduser()
    if folder.is_dir():
        return find_encoder(folder).revision
    cached = _cached(str(name_or_path)) if HUB_ID.fullmatch(str(name_or_path)) else None
    return "" if cached is None else cached.name


def wanted_files(names: Iterable[str], *, also: Collection[str] = ()) -> list[str]:
    """Return which of a repository's files a dual encoder needs, sorted.

    Pickled weights (`pytorch_model.bin`) are wanted only where there are no safetensors.

    >>> wanted_files(["README.md", "config.json", "model.safetensors", "pytorch_model.bin"])
    ['config.json', 'model.safetensors']
    """
    names = sorted(names)
    weights = [n for n in names if _SAFE_WEIGHTS.fullmatch(n)]
    if not weights:
        weights = [n for n in names if _OLD_WEIGHTS.fullmatch(n)]
    return sorted([n for n in names if n in _SETTINGS or n in also] + weights)


def _is_whole(folder: Path) -> bool:
    names = {p.name for p in folder.iterdir()}
    if "config.json" not in names:
        return False
    for stem in ("model.safetensors", "pytorch_model.bin"):
        if stem in names:
            return True
        if f"{stem}.index.json" in names:
            index = json.loads((folder / f"{stem}.index.json").read_text(encoding="utf-8"))
            return set(index["weight_map"].values()) <= names
    return False


def _content_revision(folder: Path) -> str:
    whole = hashlib.sha256()
    for name in wanted_files(p.name for p in folder.iterdir()):
        whole.update(f"{name} {file_sha256(folder / name)}\n".encode())
    return f"sha256:{whole.hexdigest()}"


def published_files(paths: Sequence[str | Path], *, name: str) -> EncoderFiles:
    """Describe an encoder that is read from files of its authors, in this order.

    Args:
        paths: existing files; the first one stands for the encoder.
        name: what the encoder is called.
    """
    places = [Path(path).expanduser() for path in paths]
    digest = hashlib.sha256("\n".join(map(file_sha256, places)).encode())
    return EncoderFiles(name=name, path=places[0], revision=f"sha256:{digest.hexdigest()}")


def file_sha256(path: Path) -> str:
    """Hash one file; remembered in this process while its size and time stay the same."""
    stat = path.stat()
    return _hashed(path, stat.st_size, stat.st_mtime_ns)


@functools.lru_cache(maxsize=256)
def _hashed(path: Path, size: int, mtime_ns: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _cached(name: str) -> Path | None:
    config = try_to_load_from_cache(name, "config.json")
    if not isinstance(config, str):
        return None
    snapshot = Path(config).parent
    return snapshot if _is_whole(snapshot) else None


def _download(name: str, *, what: str, also: Collection[str]) -> Path:
    if constants.HF_HUB_OFFLINE:
        raise EncoderUnavailableError(
            f"there is no folder {name}, the {what} {name} is not in the cache "
            f"{constants.HF_HUB_CACHE} either, and HF_HUB_OFFLINE forbids to fetch it",
            hint=way_out(
                name,
                otherwise=f"unset HF_HUB_OFFLINE, or fetch it where there is a network "
                f"(`hf download {name}`) and give the folder",
            ),
        )
    try:
        info = HfApi().model_info(name, files_metadata=True)
        sizes = {s.rfilename: s.size or 0 for s in info.siblings or []}
        files = wanted_files(sizes, also=also)
        _log.warning(
            "downloading %s: %d files, %.0f MB, to %s",
            name,
            len(files),
            sum(sizes[f] for f in files) / 1e6,
            constants.HF_HUB_CACHE,
        )
        return Path(snapshot_download(name, revision=info.sha, allow_patterns=files))
    except GatedRepoError as error:
        raise EncoderUnavailableError(
            f"the {what} {name} is gated: its owner asks for an agreement first",
            hint=f"accept it on https://huggingface.co/{name}, then `hf auth login`",
        ) from error
    except RepositoryNotFoundError as error:
        raise EncoderError(
            f"no folder {name}, and Hugging Face knows no model of that id",
            hint="check the spelling or the path; a private model needs `hf auth login`",
        ) from error
    except (HTTPError, OSError) as error:
        raise EncoderUnavailableError(
            f"there is no folder {name}, the {what} {name} is not in the cache "
            f"{constants.HF_HUB_CACHE} either, and it could not be fetched: {error}",
            hint=way_out(
                name,
                otherwise=f"check the network, or fetch it elsewhere (`hf download {name}`) and "
                f"give the folder",
            ),
        ) from error
