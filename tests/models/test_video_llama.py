"""Both senses in one prompt; released branches, and files that are not what they should be."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch.nn.functional import cross_entropy
from transformers import PreTrainedModel

from tests.models import published_fakes as fakes
from tests.models.tiny_decoders import make_decoder
from textreel.models import decoder as decoders
from textreel.models.adapters import LoraSettings
from textreel.models.bridges import Identity
from textreel.models.decoder_checks import config_width, refuse_delta
from textreel.models.errors import (
    BatchError,
    CheckpointError,
    DecoderNotFoundError,
    ModelConfigError,
)
from textreel.models.generate import Sampling
from textreel.models.published_files import PublishedFileError
from textreel.models.qformer_connector import (
    PUBLISHED_SOUND,
    QFormerConnector,
    QFormerConnectorConfig,
)
from textreel.models.thread import Thread
from textreel.models.track_row import TrackRow
from textreel.models.video_llama import SensesBatch, Track, VideoLlama, VideoLlamaConfig
from textreel.models.video_llama_checkpoint import read_branch

IMAGE, SOUND = fakes.BRANCHES["image"], fakes.BRANCHES["sound"]


@pytest.fixture(scope="module")
def decoder():
    return decoders.prepare(make_decoder())


@pytest.fixture(scope="module")
def model(decoder) -> VideoLlama:
    return VideoLlama(decoder, VideoLlamaConfig(decoder="d", image=IMAGE, sound=SOUND))


@pytest.fixture
def batch() -> SensesBatch:
    """Two rows: 3 places of sound at 1, 2 places of pictures at 6, targets at the end."""
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(1, 20, (2, 12), generator=generator)
    labels = torch.full_like(ids, -100)
    labels[:, 9:] = ids[:, 9:]
    sound, image = torch.zeros(2, 12, dtype=torch.bool), torch.zeros(2, 12, dtype=torch.bool)
    sound[:, 1:4], image[:, 6:8] = True, True
    return SensesBatch(
        input_ids=ids,
        labels=labels,
        ids=("first", "second"),
        image_slots=image,
        sound_slots=sound,
        image=Track(features=torch.randn(2, 4, 3, 12, generator=generator)),
        sound=Track(features=torch.randn(2, 2, 1, 6, generator=generator)),
    )


@torch.no_grad()
def test_soft_tokens_of_both_senses_stand_in_their_places(model, batch) -> None:
    found = model.embeddings(batch)
    plain = model.decoder.get_input_embeddings()(batch.input_ids)
    other = ~(batch.image_slots | batch.sound_slots)
    assert torch.equal(found[other], plain[other])
    assert torch.equal(found[:, 1:4], model.soft_tokens("sound", batch.sound))
    assert torch.equal(found[:, 6:8], model.soft_tokens("image", batch.image))


def test_the_loss_is_the_decoder_s_own_on_those_embeddings(model, batch) -> None:
    with torch.no_grad():
        logits = model.decoder(inputs_embeds=model.embeddings(batch)).logits[:, :-1]
    wanted = cross_entropy(logits.flatten(0, 1), batch.labels[:, 1:].flatten())
    torch.testing.assert_close(model.loss(batch), wanted, atol=1e-5, rtol=1e-5)


def test_many_targets_in_pieces_give_the_same_loss_and_gradients(model, batch, monkeypatch) -> None:
    learned = list(model.trainable_parameters())
    whole = model.loss(batch)
    wanted = torch.autograd.grad(whole, learned)
    pieces = []
    logits = decoders.logits

    def counted(decoder: PreTrainedModel, hidden: torch.Tensor) -> torch.Tensor:
        pieces.append(len(hidden))
        return logits(decoder, hidden)

    monkeypatch.setattr("textreel.models.decoder.logits", counted)
    monkeypatch.setattr("textreel.models.token_losses.CHUNK_LOGITS", 1)
    loss = model.loss(batch)
    assert set(pieces) == {1} and len(pieces) > 1
    torch.testing.assert_close(loss, whole, atol=1e-6, rtol=1e-6)
    for one, other in zip(torch.autograd.grad(loss, learned), wanted, strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4)


def test_only_the_branches_learn(model, batch) -> None:
    model.train()
    assert not model.decoder.training
    model.eval()
    model.loss(batch).backward()
    learning = [p for p in model.parameters() if p.requires_grad]
    assert sum(p.numel() for p in model.trainable_parameters()) == sum(
        p.numel() for p in model.branches.parameters()
    )
    assert all(p.grad is not None for p in learning)
    model.zero_grad()


def test_dropout_is_where_something_learns() -> None:
    config = VideoLlamaConfig(decoder="d", image=IMAGE, lora=LoraSettings(rank=2, dropout=0.5))
    model = VideoLlama(decoders.prepare(make_decoder()), config)
    updates = [m.lora_dropout for m in model.decoder.modules() if hasattr(m, "lora_dropout")]
    model.learn(["adapter"])
    model.train()
    assert updates and all(module.training for module in updates)
    assert not model.decoder.training and not model.branch("image").training
    model.learn(["image"])
    model.train()
    assert not any(module.training for module in updates) and model.branch("image").training
    model.eval()
    assert not model.branch("image").training


def test_places_must_match_the_soft_tokens(model, batch) -> None:
    fewer = batch.image_slots.clone()
    fewer[1, 7] = False
    with pytest.raises(BatchError, match=r"another number of image places .* \(first: second, 1\)"):
        model.loss(replace(batch, image_slots=fewer))
    split = batch.sound_slots.clone()
    split[0] = False
    split[0, [1, 2, 5]] = True
    with pytest.raises(BatchError, match=r"sound places that are not in a row \(first: first\)"):
        model.loss(replace(batch, sound_slots=split))
    with pytest.raises(BatchError, match="places for image tokens in a batch without image"):
        model.loss(replace(batch, image=None))
    with pytest.raises(BatchError, match="no target among 2 prompts of two senses"):
        model.loss(replace(batch, labels=torch.full_like(batch.labels, -100)))


def test_a_model_may_have_one_sense_and_says_so(decoder, batch) -> None:
    deaf = VideoLlama(decoder, VideoLlamaConfig(decoder="d", image=IMAGE))
    assert deaf.loss(replace(batch, sound=None, sound_slots=None)).isfinite()
    with pytest.raises(ModelConfigError, match="this model has no sound branch"):
        deaf.loss(batch)
    with pytest.raises(ModelConfigError, match="neither a picture nor a sound branch"):
        VideoLlamaConfig(decoder="d")


def test_a_saved_model_comes_back(model, batch, decoder, tmp_path: Path) -> None:
    model.save_pretrained(tmp_path)
    again = VideoLlama.from_pretrained(tmp_path, decoder=decoder)
    assert again.config.image == IMAGE and again.config.sound == SOUND
    assert torch.equal(again.loss(batch), model.loss(batch))
    told = json.loads((tmp_path / "config.json").read_text())
    assert told["model_type"] == "textreel-video-llama" and told["format"] == 1
    del told["image"]["queries"], told["sound_encoder"]
    (tmp_path / "config.json").write_text(json.dumps(told))
    with pytest.raises(CheckpointError, match="fields are not those of VideoLlamaConfig"):
        VideoLlama.from_pretrained(tmp_path, decoder=decoder)
    (tmp_path / "config.json").write_text(json.dumps(told | {"model_type": "other"}))
    with pytest.raises(CheckpointError, match="a model of kind 'other', not 'textreel-video"):
        VideoLlama.from_pretrained(tmp_path, decoder=decoder)


@pytest.mark.parametrize(("name", "per_step"), [("image", 3), ("sound", 1)])
def test_a_released_branch_is_read_whole(model, tmp_path, name, per_step) -> None:
    width = decoders.width(model.decoder)
    saved = fakes.save_branch(tmp_path / "b.pth", name, model_dim=width)
    found = read_branch(tmp_path / "b.pth", branch=name, vectors_per_step=per_step, heads=2)
    assert found.config == fakes.BRANCHES[name] and found.model_dim == width
    fresh = VideoLlama(model.decoder, model.config)
    fresh.load_branch(name, found, path="b.pth")
    for key, value in fresh.branch(name).state_dict().items():
        assert torch.equal(value, saved.state_dict()[key]), key


def test_a_branch_that_does_not_fit_says_why(model, tmp_path) -> None:
    path = tmp_path / "vl.pth"
    fakes.save_branch(path, "image", model_dim=7)
    with pytest.raises(PublishedFileError, match="is not in it, but the image branch is"):
        read_branch(path, branch="sound", vectors_per_step=1)
    with pytest.raises(PublishedFileError, match=r"a Q-Former of width .* does not split into 7"):
        read_branch(path, branch="image", vectors_per_step=3, heads=7)
    found = read_branch(path, branch="image", vectors_per_step=3, heads=2)
    with pytest.raises(CheckpointError, match="trained on a decoder of width 7, this one has"):
        model.load_branch("image", found, path=path)
    table = torch.load(path, weights_only=True)
    flat = table["model"] | {"video_query_tokens": torch.zeros(8)}
    torch.save(table | {"model": flat}, tmp_path / "flat.pth")
    with pytest.raises(PublishedFileError, match=r"has shape \(8,\), not 3 dimensions; it is no"):
        read_branch(tmp_path / "flat.pth", branch="image", vectors_per_step=3, heads=2)
    table["model"]["video_Qformer.extra"] = torch.zeros(1)
    torch.save(table, path)
    with pytest.raises(PublishedFileError, match=r"1 are left over \(first: video_Qformer.extra\)"):
        read_branch(path, branch="image", vectors_per_step=3, heads=2)
    del table["model"]["video_Qformer.extra"]
    del table["model"]["video_Qformer.bert.encoder.layer.1.attention.self.query.bias"]
    torch.save(table, path)
    with pytest.raises(PublishedFileError, match=r"1 of .* weights are missing"):
        read_branch(path, branch="image", vectors_per_step=3, heads=2)


@pytest.mark.parametrize("safe", [True, False])
def test_a_delta_is_told_from_a_decoder(tmp_path, safe) -> None:
    whole = make_decoder()
    whole.save_pretrained(tmp_path / "whole")
    refuse_delta(tmp_path / "whole")
    refuse_delta(tmp_path / "nowhere")
    assert config_width(str(tmp_path / "whole")) == whole.config.hidden_size
    whole.model.norm.weight.data.mul_(0.01)
    whole.save_pretrained(tmp_path / "delta", max_shard_size="20KB")
    if not safe:
        for path in (tmp_path / "delta").glob("*.safetensors*"):
            path.unlink()
        torch.save(whole.state_dict(), tmp_path / "delta" / "pytorch_model.bin")
    with pytest.raises(CheckpointError, match="holds differences, not weights: the gains of its"):
        refuse_delta(tmp_path / "delta")
    with pytest.raises(
        DecoderNotFoundError, match=r"no config of the decoder .*there is no folder"
    ):
        config_width(str(tmp_path / "nowhere"))


def test_a_picture_is_a_video_of_one_frame_and_padding_changes_nothing(model) -> None:
    generator = torch.Generator().manual_seed(1)
    frames = torch.randn(2, 4, 3, 12, generator=generator)
    mask = torch.tensor([[True, True, True, True], [True, False, False, False]])
    padded = model.soft_tokens("image", Track(features=frames, mask=mask))
    alone = model.soft_tokens("image", Track(features=frames[1:, :1]))
    torch.testing.assert_close(padded[1:], alone, atol=1e-5, rtol=1e-5)


def test_published_tables_end_at_32_frames_and_8_clips_and_others_go_on() -> None:
    picture, sound = QFormerConnectorConfig(), PUBLISHED_SOUND
    assert (picture.num_soft_tokens(32), sound.num_soft_tokens(8)) == (32, 8)
    with pytest.raises(BatchError, match="33 steps of time, but this connector has 32 positions"):
        picture.num_soft_tokens(33)
    with pytest.raises(BatchError, match="9 steps of time, but this connector has 8 positions"):
        sound.num_soft_tokens(9)
    for positions in ("interpolated", "time", "none"):
        assert replace(picture, positions=positions).num_soft_tokens(128) == 32


def test_without_positions_the_order_of_frames_is_lost() -> None:
    shape = replace(IMAGE, positions="none")
    branch = QFormerConnector(shape, model_dim=8, generator=torch.Generator().manual_seed(0))
    branch.eval()
    frames = torch.randn(1, 6, 3, 12, generator=torch.Generator().manual_seed(2))
    torch.testing.assert_close(branch(frames), branch(frames.flip(1)), atol=1e-5, rtol=1e-5)
    assert not any("positions" in name for name, _ in branch.named_parameters())


def test_what_learns_is_named(decoder) -> None:
    both = VideoLlama(decoder, VideoLlamaConfig(decoder="d", image=IMAGE, sound=SOUND))
    both.learn(["sound"])
    learning = {n.split(".")[1] for n, p in both.named_parameters() if p.requires_grad}
    assert learning == {"sound"}
    both.train()
    assert both.branch("sound").training and not both.branch("image").training
    with pytest.raises(ModelConfigError, match="this model cannot train adapter"):
        both.learn(["adapter"])
    with pytest.raises(ModelConfigError, match="this model cannot train nothing"):
        both.learn([])


def test_an_adapter_learns_and_is_saved_with_the_branches(tmp_path: Path, batch) -> None:
    settings = LoraSettings(rank=2, targets=("q_proj",))
    config = VideoLlamaConfig(decoder="d", image=IMAGE, sound=SOUND, lora=settings)
    model = VideoLlama(decoders.prepare(make_decoder()), config)
    model.learn(["adapter"])
    learning = [name for name, p in model.named_parameters() if p.requires_grad]
    assert learning and all("lora_" in name for name in learning)
    for parameter in model.trainable_parameters():
        parameter.data.fill_(0.1)
    model.save_pretrained(tmp_path)
    again = VideoLlama.from_pretrained(tmp_path, decoder=decoders.prepare(make_decoder()))
    assert again.config == model.config
    assert torch.equal(again.loss(batch), model.loss(batch))


@torch.no_grad()
def test_scores_and_words_are_those_of_reading_row_by_row(model, batch) -> None:
    lengths = torch.tensor([12, 10])
    mask = torch.arange(12) < lengths[:, None]
    asked = replace(batch, attention_mask=mask)
    options = [[(3,), (4, 5)], [(6, 7), (8,)]]
    scores = model.score(asked, options)
    spoken = model.generate(asked, max_new_tokens=3, sampling=Sampling(stop_ids=()))
    for row in range(2):
        one = one_row(asked, row, int(lengths[row]))
        found = Thread().score(TrackRow(model, one), options[row])
        torch.testing.assert_close(found.total, scores[row].total, atol=1e-4, rtol=1e-4)
        stream = Thread().stream(
            TrackRow(model, one), max_new_tokens=3, sampling=Sampling(stop_ids=())
        )
        assert list(stream) == spoken[row]


def one_row(batch: SensesBatch, row: int, length: int) -> SensesBatch:
    part = slice(row, row + 1)
    assert batch.image_slots is not None and batch.sound_slots is not None
    assert batch.image is not None and batch.sound is not None
    return SensesBatch(
        input_ids=batch.input_ids[part, :length],
        labels=batch.labels[part, :length],
        ids=batch.ids[part],
        image_slots=batch.image_slots[part, :length],
        sound_slots=batch.sound_slots[part, :length],
        image=Track(features=batch.image.features[part]),
        sound=Track(features=batch.sound.features[part]),
    )


@torch.no_grad()
def test_bridges_are_crossed_in_answering_only(model, batch) -> None:
    class Double(torch.nn.Module):
        def forward(self, values, mask, *, empty_frames):
            return 2 * values

    model.bridges["sound"] = Double()
    before, bridged = (model.embeddings(batch, bridged=b) for b in (False, True))
    model.bridges["sound"] = Identity()
    assert torch.equal(before[:, 6:8], bridged[:, 6:8])
    assert not torch.equal(before[:, 1:4], bridged[:, 1:4])
    sound = Track(features=2 * batch.sound.features)
    assert torch.equal(bridged[:, 1:4], model.soft_tokens("sound", sound))


def test_a_prompt_that_is_too_long_says_so(model, batch) -> None:
    limit = decoders.max_positions(model.decoder)
    assert limit is not None
    ids = torch.ones(1, limit + 1, dtype=torch.long)
    long = SensesBatch(input_ids=ids, labels=ids, ids=("long",))
    with pytest.raises(BatchError, match=r"long: a prompt of \d+ positions with what is seen"):
        model.prompted(long, bridged=False)
