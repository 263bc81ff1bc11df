"""TOPA's published loaders and ours: the same vectors, words, tokens and targets.

What differs on purpose is asserted too, with how it differs.
"""

import pytest
import torch

from tests.parity.topa_cases import HELPERS, GoldenCase, GoldenTokenizer, each_case
from textreel.data.collate import Collator
from textreel.data.prompt import (
    VIDEO,
    Piece,
    Prompt,
    PromptError,
    PromptTooLongError,
    Turn,
    write_question,
)
from textreel.data.templates import TEMPLATES, as_published
from textreel.features.fuse import average
from textreel.features.thin import thin, thin_indices
from textreel.models.batch import Batch, Features
from textreel.models.published import Published
from textreel.recipes.alignment import blurred
from textreel.train.config import TrainConfig, learning_rate

PUBLISHED = Published()
TEMPLATE_OF = {"llama2": "topa", "llama3": "topa-llama3"}
OF_KIND = {"vqa": "text.vqa", "videocap": "caption.vaq", "openvqa": "openvqa.vaq"}


def template(name: str):
    return as_published(TEMPLATES[name], PUBLISHED)


def collator(case: GoldenCase, kind: str, name: str | None = None, **kwargs) -> Collator:
    tokenizer = GoldenTokenizer(case.spec["tokenizers"][kind])
    frames = case.spec["config"]["max_feats"]
    return Collator(tokenizer, template(name or TEMPLATE_OF[kind]), lambda _: frames, **kwargs)


def entries(case: GoldenCase):
    """Each prompt with the name of its tensors."""
    seen: dict[str, list[str]] = {}
    for entry in case.spec["prompts"]:
        questions = seen.setdefault(entry["tokenizer"], [])
        if entry["question"] not in questions:
            questions.append(entry["question"])
        number = questions.index(entry["question"])
        yield entry, f"{entry['tokenizer']}.q{number}.{entry['split']}"


def choice(entry, **kwargs) -> Turn:
    return Turn(
        task="choice", question=entry["question"], options=tuple(entry["options"]), **kwargs
    )


def turns_of(entry, stream: str) -> tuple[list[Turn], str]:
    """The turns that one published encoding stands for, and the template's name."""
    kind, train = entry["tokenizer"], entry["split"] == "train"
    answers = [entry["answer"]] if train else range(len(entry["options"]))
    if stream == "vqa":
        return [choice(entry, answer=i) for i in answers], TEMPLATE_OF[kind]
    if stream == "videocap":
        return [Turn(task="summary", answer_text=entry["caption"])], TEMPLATE_OF[kind]
    if train:
        words = entry["answer_open_ended"].strip()
        turn = Turn(task="open", question=entry["question"], answer_text=words)
        return [turn], TEMPLATE_OF[kind]
    return [choice(entry, answer=i) for i in answers], "topa-open-nextqa"


def expect(case: GoldenCase, name: str, records, found, *, at: int, start: int) -> None:
    """Compare records with padded ids, labels and masks; or say why the labels may differ."""
    ids, labels, masks = (case[f"{name}.{part}"] for part in ("id", "label", "label_mask"))
    frames = case.spec["config"]["max_feats"]
    for row, (record, given) in enumerate(zip(records, found["ids"], strict=True)):
        tokens = record.token_ids.tolist()
        head, tail = tokens[:at], tokens[at:]
        assert head + [-2] * frames + tail == given
        targets = [False] * (at + frames) + record.is_target.tolist()[at:]
        assert not record.is_target[:at].any()
        length = ids.shape[1]
        padded = torch.zeros(length, dtype=torch.int32)
        padded[: len(given)] = torch.tensor([max(i, 0) for i in given], dtype=torch.int32)
        assert torch.equal(ids[row], padded)
        mask = torch.zeros(length, dtype=torch.bool)
        mask[: len(given)] = torch.tensor(targets)
        if mask.nonzero()[0] != start:
            # the documented difference: they count from the first such word, wherever it is
            assert mask.nonzero()[0] > start
            assert int(labels[row].bool().sum()) > int(mask.sum())
            continue
        assert torch.equal(masks[row].bool(), mask)
        assert torch.equal(labels[row], padded * mask)


@each_case(HELPERS)
@pytest.mark.parametrize("stream", ["vqa", "videocap", "openvqa"])
def test_strings_tokens_and_targets(case: GoldenCase, stream: str) -> None:
    compared = 0
    for entry, name in entries(case):
        found = entry["enc"][stream]
        if isinstance(found, str):  # upstream's own code cannot run it
            assert "not runnable" in found and entry["split"] == "val"
            continue
        turns, template_name = turns_of(entry, stream)
        ours = collator(case, entry["tokenizer"], template_name)
        prompts = [ours.write(name, turns=[turn]) for turn in turns]
        before, *after = found["strings_passed_to_sentencepiece"]
        for prompt, text in zip(prompts, after, strict=True):
            assert [segment.text for segment in prompt.segments()] == [before, "\n" + text]
        tensors = f"{name}.{OF_KIND[stream]}"
        if stream == "openvqa" and entry["split"] == "val":
            tensors = f"{name}.openvqa.vaq"
        records = ours.encode_many(prompts)
        starts = {record.video_at for record in records}
        assert starts == {found["video_start"]}
        start = found["prefix_index"]
        start = start[0] if isinstance(start, list) else start
        expect(case, tensors, records, found, at=found["video_start"], start=start)
        compared += len(records)
    assert compared


@each_case(HELPERS)
def test_questions_that_the_published_code_writes_and_never_trains_on(case: GoldenCase) -> None:
    """Upstream also tokenizes the question as the target; `Prompt` can say that too."""
    compared = 0
    for entry, name in entries(case):
        found = entry["enc"]["vaq"]
        ours = collator(case, entry["tokenizer"])
        words = template("topa")
        question = words.ask(entry["question"]).strip().removeprefix("Question")
        answers = [entry["answer"]] if entry["split"] == "train" else range(len(entry["options"]))
        prompts = []
        for answer in answers:
            lead = write_question(choice(entry), words).removeprefix(words.ask(entry["question"]))
            lead += f"Answer: The correct choice is ({'ABCDE'[answer]})\nQuestion"
            pieces = (
                Piece(kind="text", text=found["strings_passed_to_sentencepiece"][0]),
                VIDEO,
                Piece(kind="text", text="\n" + lead),
                Piece(kind="target", text=question),
            )
            prompts.append(Prompt(id=name, pieces=pieces))
        after = found["strings_passed_to_sentencepiece"][1:]
        assert ["\n" + text for text in after] == [p.segments()[1].text for p in prompts]
        records = ours.encode_many(prompts)
        at, start = found["video_start"], found["prefix_index"]
        expect(case, f"{name}.text.vaq", records, found, at=at, start=start)
        compared += len(records)
    assert compared


@each_case(HELPERS)
def test_a_video_is_no_target(case: GoldenCase) -> None:
    """A documented difference: a prompt that predicts the video (never trained on) is refused."""
    for entry, name in entries(case):
        found = entry["enc"]["qav"]
        text = found["strings_passed_to_sentencepiece"][0]
        assert text.endswith("Video:")
        tokenizer = GoldenTokenizer(case.spec["tokenizers"][entry["tokenizer"]])
        frames = case.spec["config"]["max_feats"]
        ids = [tokenizer.bos_token_id, *tokenizer.encode(text), *[-2] * frames]
        assert [*ids, tokenizer.eos_token_id] == found["ids"][0]
        label = case[f"{name}.text.qav.label"][0]
        start = found["prefix_index"]
        assert label[start : start + frames].tolist() == list(range(frames))
        with pytest.raises(PromptError, match="a prompt ends with a target"):
            Prompt(id=name, pieces=(Piece(kind="text", text=text), VIDEO))


@each_case(HELPERS)
def test_words_of_every_loader(case: GoldenCase) -> None:
    words = template("topa")
    for entry, _ in entries(case):
        whole = write_question(choice(entry), words)
        for loader in ("textvid_text", "nextqa_text", "egoschema_text"):
            given = entry[loader]
            assert whole == given["q_text"] + given["o_text"]
            assert given["a_text"] + "(A)" == (
                words.choice_lead + words.choice_target.format(letter="A")
            )
        star, given = template("topa-star"), entry["star_text"]
        turn = Turn(task="choice", question=entry["question"], options=tuple(given["options"]))
        assert write_question(turn, star) == given["q_text"] + given["o_text"]
        assert given["a_text"] + "(A)" == star.choice_lead + star.choice_target.format(letter="A")
        leads = {"nextqa_text": "topa-open-nextqa", "egoschema_text": "topa-open"}
        for loader, name in (leads | {"star_text": "topa-open"}).items():
            text = template(name)
            options = entry[loader]["options"]
            ours = [text.choice_lead + text.choice_target.format(text=o) for o in options]
            assert ours == entry[loader]["open_options"]


@each_case(HELPERS)
def test_a_target_that_does_not_fit_is_refused(case: GoldenCase) -> None:
    """A documented difference: upstream cuts the target and its end away."""
    names = [name for name in case.spec if name.endswith(".truncated_caption")]
    assert names
    for name in names:
        found, kind = case.spec[name], name.split(".")[0]
        frames = case.spec["config"]["max_feats"]
        limit = found["max_seq_len"]
        ours = collator(case, kind, max_tokens=limit)
        full = [token for token in found["full_ids"] if token >= 0]
        assert len(found["full_ids"]) > limit
        cut = case[f"{name}.vaq.id"][0]
        eos = ours.tokenizer.eos_token_id
        assert eos in full and eos not in cut.tolist()
        given = [max(token, 0) for token in found["full_ids"][:limit]]
        assert cut.tolist() == given
        caption = decode(ours.tokenizer, full[found["prefix_index"] - frames :])
        turn = Turn(task="summary", answer_text=caption.removeprefix(": ").removesuffix("\n"))
        prompt = ours.write(name, turns=[turn])
        roomy = collator(case, kind).encode(prompt, num_frames=frames)
        assert roomy.token_ids.tolist() == full
        with pytest.raises(PromptTooLongError, match=f"but a row takes {limit}"):
            ours.encode(prompt, num_frames=frames)


def decode(tokenizer: GoldenTokenizer, ids: list[int]) -> str:
    pieces = {id: piece.encode() for piece, id in tokenizer.pieces.items()}
    pieces |= {id: bytes([byte]) for byte, id in enumerate(tokenizer.byte_ids)}
    return b"".join(pieces.get(id, b"") for id in ids).decode()


@each_case(HELPERS)
def test_the_vectors_of_frames(case: GoldenCase) -> None:
    differs = 0
    for number, frames in enumerate(case.spec["frames"]):
        rows = case[f"frames{number}.features"].float()
        keys = torch.tensor(frames["keys_per_frame"])
        owner = torch.arange(len(keys)).repeat_interleave(keys)
        ours = average(rows, owner, count=len(keys))
        torch.testing.assert_close(ours, case[f"frames{number}.out"], **case.tolerance("fp32"))
        half = case[f"frames{number}.out_fp16"].float()
        torch.testing.assert_close(ours, half, **case.tolerance("fp16"))
        video = case[f"frames{number}.video"]
        kept = thin_indices(len(ours), wanted=len(video))
        assert kept == frames.get("chosen_index", kept)
        torch.testing.assert_close(ours[kept], video[: len(kept)], **case.tolerance("fp32"))
        assert not video[len(kept) :].any() and len(kept) == frames["video_len"]
        if (name := f"frames{number}.out_webvid_py") in case.tensors:
            # the documented difference: that loader forgets to normalise the mean
            assert (case[name].norm(dim=-1) < 0.99).any()
            differs += 1
    assert differs


@each_case(HELPERS)
def test_pictures_are_normalised_and_thinned(case: GoldenCase) -> None:
    compared = 0
    while f"raw{compared}.features" in case.tensors:
        rows, video = case[f"raw{compared}.features"].float(), case[f"raw{compared}.video"]
        wanted = len(video)
        whole = Features(
            values=torch.nn.functional.normalize(rows, dim=-1)[:, None],
            times_s=torch.arange(len(rows), dtype=torch.float64),
            modality="image",
            encoder="golden",
            revision="",
        )
        ours = thin(whole, wanted=wanted).values[:, 0]
        torch.testing.assert_close(ours, video[: len(ours)], **case.tolerance("fp32"))
        assert not video[len(ours) :].any()
        single = case.tensors.get(f"raw{compared}.video_single_frame")
        if single is not None:  # the documented difference: "single" is every second one, twice
            distinct = torch.unique(single, dim=0)
            assert 1 < len(distinct) <= -(-wanted // 2)
            assert len(thin(whole, wanted=1).values) == 1
        compared += 1
    assert compared == len(case.spec["frames"])


@each_case(HELPERS)
def test_the_learning_rate_by_step(case: GoldenCase) -> None:
    """In warm-up theirs of update s is ours of update s - 1: their first one does nothing."""
    given = case.spec["lr_schedule"]
    per_epoch = 100
    assert given["min_lr"] == 0
    config = TrainConfig(
        steps=given["epochs"] * per_epoch,
        warmup=given["warmup_epochs"] * per_epoch,
        lr=given["lr"],
    )
    compared = 0
    for epoch, wanted in given["epoch -> lr"]:
        step = round(epoch * per_epoch)
        if step == 0:
            assert wanted == 0.0 < learning_rate(0, config)
            continue
        late = step - 1 if step < config.warmup else step
        assert learning_rate(late, config) == pytest.approx(wanted, rel=1e-9, abs=1e-12)
        compared += 1
    assert compared > 3


@each_case(HELPERS)
def test_no_noise_is_no_change(case: GoldenCase) -> None:
    assert "variance 0.0 returns x unchanged" in case.spec["noise_injection"]
    features = torch.nn.functional.normalize(torch.randn(2, 3, 1, 8), dim=-1)
    nothing = torch.zeros(2, 1, dtype=torch.bool)
    batch = Batch(
        input_ids=nothing.long(),
        attention_mask=~nothing,
        video_slots=nothing,
        labels=nothing.long(),
        ids=("a", "b"),
        features=features,
        feature_mask=torch.ones(2, 3, dtype=torch.bool),
    )
    generator = torch.Generator().manual_seed(0)
    assert blurred(batch, 0.0, generator) is batch
    assert not torch.equal(blurred(batch, 0.01, generator).features, features)
