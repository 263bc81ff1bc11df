import math

import pytest
import torch
from torch import Tensor, nn

from textreel.models.contrastive import (
    ContrastiveTowers,
    SoundAfterPictures,
    SoundBatch,
    StillBatch,
)


class GivenTowers(nn.Module):
    """Towers whose vectors are what they are given, times a weight of 1."""

    def __init__(self) -> None:
        super().__init__()
        self.picture, self.text, self.sound = (nn.Linear(4, 4, bias=False) for _ in range(3))
        for tower in (self.picture, self.text, self.sound):
            nn.init.eye_(tower.weight)

    def get_image_features(self, pixels: Tensor) -> Tensor:
        return self.picture(pixels)

    def get_text_features(self, ids: Tensor, mask: Tensor) -> Tensor:
        return self.text(ids)

    def get_audio_features(self, spectrograms: Tensor) -> Tensor:
        return self.sound(spectrograms)


NAMED = torch.tensor([[1.0, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, 0]])


UNDECIDED = 0.3 * 3 * math.log(2)
"""What the named pairs cost a learner whose every logit is 0: three of them, one bit each."""


def learner(**options: float) -> ContrastiveTowers:
    model = ContrastiveTowers(GivenTowers(), feature_dim=4, num_pairs=3, **options)
    with torch.no_grad():
        model.names.weight.zero_()
        model.names.bias.zero_()
    return model


def stills(image: Tensor, text: Tensor, *, facts=(0, 1, 2, 3), group_size: int = 2) -> StillBatch:
    return StillBatch(
        pixel_values=image,
        input_ids=text,
        attention_mask=torch.ones(len(image), 3, dtype=torch.bool),
        facts=torch.tensor(facts),
        named=NAMED,
        ids=("a", "b", "c", "d"),
        group_size=group_size,
        noise_seed=1,
    )


def sounds(image: Tensor, sound: Tensor, kinds=(0, 1, 2, 3)) -> SoundBatch:
    return SoundBatch(
        pixel_values=image,
        spectrograms=sound,
        kinds=torch.tensor(kinds),
        ids=("a", "b", "c", "d"),
    )


def test_equal_pairs_that_differ_from_all_others() -> None:
    loss = learner().loss(stills(5 * torch.eye(4), torch.eye(4)))
    every = math.log(1 + 3 * math.exp(-20))
    group = math.log(1 + 1 * math.exp(-20))
    assert loss.item() == pytest.approx(every + 0.5 * group + UNDECIDED, abs=1e-6)


def test_swapped_captions_of_a_group_cost_most() -> None:
    swapped = torch.eye(4)[[1, 0, 3, 2]]
    loss = learner().loss(stills(torch.eye(4), swapped))
    every = 20 + math.log(1 + 3 * math.exp(-20))
    group = 20 + math.log(1 + math.exp(-20))
    assert loss.item() == pytest.approx(every + 0.5 * group + 2.0 * 1 + UNDECIDED, rel=1e-5)


def test_pairs_of_the_same_facts_are_no_negatives() -> None:
    same = torch.eye(4)[[0, 0, 2, 3]]
    batch = stills(same, same, facts=(7, 7, 2, 3), group_size=1)
    loss = learner().loss(batch)
    assert loss.item() == pytest.approx(UNDECIDED, abs=1e-6)
    counted = learner().loss(stills(same, same, group_size=1))
    assert counted.item() == pytest.approx(2 * math.log(2) / 4 + UNDECIDED, rel=1e-5)


def test_the_scale_is_learned_and_at_most_a_hundred() -> None:
    model = learner()
    torch.nn.init.constant_(model.log_scale, 9.0)
    half = torch.full((4, 4), 0.5)
    loss = model.loss(stills(torch.eye(4), half))
    wanted = math.log(4) + 0.5 * math.log(2) + 2 * 0.5 + UNDECIDED
    assert loss.item() == pytest.approx(wanted, rel=1e-5)
    swapped = torch.eye(4)[[1, 0, 3, 2]]
    assert model.loss(stills(torch.eye(4), swapped)).item() == pytest.approx(
        152.0 + UNDECIDED, rel=1e-4
    )


def test_words_are_read_off_both_towers_by_one_map_through_noise() -> None:
    model = learner(named_noise=0.0)
    with torch.no_grad():
        model.names.weight.copy_(40 * torch.eye(4)[:3])
        model.names.bias.fill_(-20.0)
    every = math.log(1 + 3 * math.exp(-20)) + 0.5 * math.log(1 + math.exp(-20))
    right = model.loss(stills(torch.eye(4), torch.eye(4)))
    assert right.item() == pytest.approx(every, abs=1e-6)
    model.named_noise = 1.0
    noisy = [model.loss(stills(torch.eye(4), torch.eye(4))).item() for _ in range(2)]
    assert noisy[0] == noisy[1] > 1.0


def test_pictures_and_texts_are_trained_and_sounds_are_not() -> None:
    model = learner()
    model.loss(stills(torch.eye(4), torch.ones(4, 4) + torch.eye(4))).backward()
    trained = {name for name, p in model.named_parameters() if p.grad is not None}
    towers = {"towers.picture.weight", "towers.text.weight"}
    assert trained == towers | {"log_scale", "names.weight", "names.bias"}


def test_sounds_are_trained_against_pictures_and_nothing_else() -> None:
    model = SoundAfterPictures(GivenTowers())
    loss = model.loss(sounds(torch.eye(4), torch.eye(4)))
    assert loss.item() == pytest.approx(math.log(1 + 3 * math.exp(-20)), abs=1e-6)
    mixed = torch.ones(4, 4) + torch.eye(4)
    model.loss(sounds(torch.eye(4), mixed)).backward()
    trained = {name for name, p in model.named_parameters() if p.grad is not None}
    assert trained == {"towers.sound.weight"}


def test_sounds_of_one_kind_are_no_negatives() -> None:
    same = torch.eye(4)[[0, 0, 2, 3]]
    loss = SoundAfterPictures(GivenTowers()).loss(sounds(same, same, kinds=(1, 1, 2, 3)))
    assert loss.item() == pytest.approx(0.0, abs=1e-6)


def test_the_picture_tower_keeps_its_statistics_while_sounds_are_trained() -> None:
    model = SoundAfterPictures(GivenTowers()).train()
    assert model.towers.sound.training
    assert not model.towers.picture.training
    assert not model.train(False).towers.sound.training


def test_batches_move_with_all_their_tensors() -> None:
    for batch in (stills(torch.eye(4), torch.eye(4)), sounds(torch.eye(4), torch.ones(4, 5, 6))):
        moved = batch.to("meta")
        assert moved.pixel_values.device.type == "meta"
        assert moved.ids == batch.ids
    assert stills(torch.eye(4), torch.eye(4)).num_tokens == 12
    assert sounds(torch.eye(4), torch.ones(4, 5, 6)).num_tokens == 20
