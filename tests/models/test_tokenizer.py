"""The decoder's tokenizer is found where the decoder is, or refused."""

from pathlib import Path

import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit

from tests.models.encoder_fakes import word_tokenizer
from textreel.models.errors import DecoderNotFoundError, DecoderUnsupportedError
from textreel.models.tokenizer import load_tokenizer, save_tokenizer


def test_a_tokenizer_lies_beside_its_decoder(tmp_path: Path) -> None:
    word_tokenizer().save_pretrained(tmp_path / "decoder")
    for name, base in ((str(tmp_path / "decoder"), None), ("decoder", tmp_path)):
        tokenizer = load_tokenizer(name, base=base)
        ids = tokenizer("red circle", add_special_tokens=False).input_ids
        assert tokenizer.convert_ids_to_tokens(ids) == ["red", "circle"]


def test_a_decoder_that_is_not_here(tmp_path: Path) -> None:
    with pytest.raises(DecoderNotFoundError, match="no tokenizer of the decoder 'nobody/nothing'"):
        load_tokenizer("nobody/nothing")
    with pytest.raises(DecoderNotFoundError, match="no tokenizer of the decoder"):
        load_tokenizer(str(tmp_path))


def test_a_slow_tokenizer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "textreel.models.tokenizer.AutoTokenizer.from_pretrained", lambda where: object()
    )
    with pytest.raises(DecoderUnsupportedError, match="has a slow tokenizer only"):
        load_tokenizer(str(tmp_path))


def test_a_tokenizer_of_our_own_comes_back(tmp_path: Path) -> None:
    own = Tokenizer(WordLevel({"<p>": 0, "<b>": 1, "<e>": 2, "<u>": 3, "red": 4}, unk_token="<u>"))
    own.pre_tokenizer = WhitespaceSplit()
    save_tokenizer(own, tmp_path, pad="<p>", bos="<b>", eos="<e>", unk="<u>", longest=7)
    loaded = load_tokenizer(str(tmp_path))
    assert loaded("red blue", add_special_tokens=False).input_ids == [4, 3]
    special = (loaded.pad_token_id, loaded.bos_token_id, loaded.eos_token_id, loaded.unk_token_id)
    assert special == (0, 1, 2, 3)
    assert loaded.model_max_length == 7


def test_a_word_level_tokenizer_beside_a_qwen2_decoder_stays_word_level(tmp_path: Path) -> None:
    words = Tokenizer(
        WordLevel({"<pad>": 0, "<bos>": 1, "<eos>": 2, "<unk>": 3, "red": 4}, "<unk>")
    )
    words.pre_tokenizer = WhitespaceSplit()
    save_tokenizer(words, tmp_path, pad="<pad>", bos="<bos>", eos="<eos>", unk="<unk>", longest=8)
    (tmp_path / "config.json").write_text('{"model_type": "qwen2"}')
    assert load_tokenizer(str(tmp_path))("red blue").input_ids == [4, 3]
