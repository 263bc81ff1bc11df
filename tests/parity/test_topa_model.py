"""TOPA's published model and ours, from the published checkpoint: the same numbers."""

import pytest
import torch
from torch.optim import AdamW

from tests.parity.topa_cases import (
    GOLDENS,
    HELPERS,
    MODEL_KINDS,
    Converted,
    GoldenCase,
    all_paths,
    convert,
    each_case,
    golden_batch,
    paths_of,
)
from textreel.models.batch import Features
from textreel.models.bridges import Identity
from textreel.models.decoder import load_decoder, logits, run_body
from textreel.serve.bridging import make_bridge
from textreel.serve.run_files import load_settings

FP32, GRADIENTS, PLAIN = "fp32 losses/logits", "grads", "plain.logits"
"""Keys of a file's own tolerances."""


@pytest.fixture(scope="module")
def converted_cases() -> dict[str, Converted]:
    return {}


@pytest.fixture
def converted(case, converted_cases, tmp_path_factory, capsys) -> Converted:
    name = case.path.name
    if name not in converted_cases:
        converted_cases[name] = convert(case, tmp_path_factory.mktemp("topa"), capsys)
    made = converted_cases[name]
    made.model.bridge = Identity()
    made.model.zero_grad(set_to_none=True)
    return made


def with_memory(converted: Converted) -> None:
    class Encoder:
        revision, name, statistics = "", "", None

    settings = load_settings(converted.folder).bridge
    converted.model.bridge = make_bridge(
        settings, encoder=Encoder(), run=converted.folder, checked=False
    )


def test_there_is_a_case_of_each_kind() -> None:
    if not GOLDENS.is_dir():
        pytest.skip(f"no golden files at {GOLDENS} (set TEXTREEL_GOLDENS)")
    read = {kind: paths_of(kind) for kind in (*MODEL_KINDS, HELPERS)}
    for kind, paths in read.items():
        assert paths, f"no topa-{kind}-*.json in {GOLDENS}"
    assert sorted(path for paths in read.values() for path in paths) == all_paths()


@each_case(*MODEL_KINDS)
def test_a_converted_checkpoint_says_what_it_is(case: GoldenCase, converted: Converted) -> None:
    config, report = case.spec["config"], converted.report
    layers = case.spec["files"]["llama_hf_config"]["num_hidden_layers"]
    assert report["num_layers"] == config["adapter_layer"]
    assert report["skipped_layers"] == layers - config["adapter_layer"]
    assert report["max_frames"] == config["max_feats"]
    assert report["memory_rows"] == len(case["memory"])
    assert converted.model.config.published is not None
    assert len(converted.model.decoder.base_model.layers) == config["adapter_layer"]


@each_case(*MODEL_KINDS)
@pytest.mark.parametrize(
    ("stream", "slot", "wanted"),
    [("train", "vqa", "vqa"), ("train", "vaq", "caption"), ("train_open", "vaq", "open")],
)
def test_training_losses(
    case: GoldenCase, converted: Converted, stream: str, slot: str, wanted: str
) -> None:
    with torch.no_grad():
        loss = converted.model.loss(golden_batch(case, stream, slot))
    torch.testing.assert_close(loss, case[f"out.train_{wanted}_loss.fp32"], **case.tolerance(FP32))


def token_losses(converted: Converted, stream: str, slot: str, **kwargs) -> torch.Tensor:
    """Per-target losses where they stand, zero elsewhere, as the published code gives them."""
    batch = golden_batch(converted.case, stream, slot, **kwargs)
    with torch.no_grad():
        losses, _ = converted.model.token_losses(batch, bridged=True)
    ids = converted.case[f"{stream}.{slot}_id"]
    out = torch.zeros(len(batch.ids), ids.shape[-1] - 1)
    out[batch.labels[:, 1:] != 0] = losses
    return out.view(*ids.shape[:2], -1)


@each_case(*MODEL_KINDS)
@pytest.mark.parametrize("memory", ["nomem", "mem"])
@pytest.mark.parametrize(("stream", "slot"), [("infer", "vqa"), ("infer_open", "vaq")])
def test_losses_of_every_option_and_the_choice(
    case: GoldenCase, converted: Converted, stream: str, slot: str, memory: str
) -> None:
    if memory == "mem":
        with_memory(converted)
    losses = token_losses(converted, stream, slot)
    torch.testing.assert_close(
        losses, case[f"out.{stream}_logits.{memory}.fp32"], **case.tolerance(FP32)
    )
    chosen = (losses.sum(-1) / (losses != 0).sum(-1)).argmin(-1)
    assert chosen.tolist() == case[f"out.{stream}_pred.{memory}.fp32"].tolist()


@each_case(*MODEL_KINDS)
def test_losses_without_the_video(case: GoldenCase, converted: Converted) -> None:
    losses = token_losses(converted, "infer", "vqa", only_text=True)
    torch.testing.assert_close(losses, case["out.infer_logits.onlyqa.fp32"], **case.tolerance(FP32))


@each_case(*MODEL_KINDS)
def test_a_padded_video_through_the_memory(case: GoldenCase, converted: Converted) -> None:
    with_memory(converted)
    batch = golden_batch(case, "infer", "vqa")
    everything = torch.ones_like(batch.feature_mask)
    moved = converted.model.bridge(batch.features, everything, empty_frames=True)[:, :, 0]
    options = len(moved) // len(case["infer.video"])
    wanted = case["out.infer_video_projected"].repeat_interleave(options, dim=0)
    torch.testing.assert_close(moved, wanted, **case.tolerance(FP32))


@each_case(*MODEL_KINDS)
def test_scoring_from_the_questions_own_words(case: GoldenCase, converted: Converted) -> None:
    """The public way: words in, a choice out; packed options, one forward pass a question."""
    rows = case.spec["raw_data"]["egos_rows"]
    turns = [choice_of(row) for row in rows]
    prompts = [converted.collator.write(str(i), turns=[t]) for i, t in enumerate(turns)]
    choices = converted.collator.encode_choices(prompts)
    video, seen = case["infer.video"], case["infer.video_len"]
    features = [features_of(v[: int(n)]) for v, n in zip(video, seen, strict=True)]
    batch = converted.collator.collate(
        [(choice.prompt, f) for choice, f in zip(choices, features, strict=True)]
    )
    for memory in ("nomem", "mem"):
        if memory == "mem":
            with_memory(converted)
        # upstream scores with float32 features; ours are stored in float16
        batch = replace_features(batch, video)
        scores = converted.model.score(batch, [choice.options for choice in choices])
        wanted = case[f"out.infer_logits.{memory}.fp32"]
        means = wanted.sum(-1) / (wanted != 0).sum(-1)
        torch.testing.assert_close(
            torch.stack([-s.mean for s in scores]), means, **case.tolerance(FP32)
        )
        assert [s.best for s in scores] == case[f"out.infer_pred.{memory}.fp32"].tolist()


@each_case(*MODEL_KINDS)
def test_gradients(case: GoldenCase, converted: Converted) -> None:
    if not any(name.startswith("grad.vqa.") for name in case.tensors):
        return  # "where given"; the losses of this case are compared above
    converted.model.loss(golden_batch(case, "train", "vqa")).backward()
    wanted, allowed = renamed(case, "grad.vqa."), case.tolerance(GRADIENTS)
    found = {n: p.grad for n, p in converted.model.named_parameters() if p.grad is not None}
    assert found.keys() == wanted.keys()
    for name, gradient in wanted.items():
        torch.testing.assert_close(found[name], gradient, **allowed, msg=lambda m, n=name: n + m)
    norm = torch.stack([g.norm() for g in found.values()]).norm()
    torch.testing.assert_close(norm, case["out.grad_norm.vqa.fp32"], **allowed)


@each_case(*MODEL_KINDS)
def test_one_update(case: GoldenCase, converted: Converted) -> None:
    """AdamW decays every matrix, and upstream's gates, being (1, H, 1, 1), are decayed too."""
    model = converted.model
    before = {n: p.detach().clone() for n, p in model.named_parameters() if p.requires_grad}
    model.loss(golden_batch(case, "train", "vqa")).backward()
    optimizer = AdamW(
        model.trainable_parameters(), lr=1e-2, betas=(0.9, 0.95), eps=1e-8, weight_decay=0.1
    )
    optimizer.step()
    wanted = renamed(case, "after_step.")
    assert wanted.keys() <= before.keys()
    after = dict(model.named_parameters())
    for name, value in wanted.items():
        torch.testing.assert_close(after[name].detach(), value, **case.tolerance(FP32))
        assert not torch.equal(after[name], before[name])
    with torch.no_grad():
        for name, value in before.items():
            after[name].copy_(value)


@each_case(*MODEL_KINDS)
def test_gates_of_layers_that_are_not_run_stay(case: GoldenCase, converted: Converted) -> None:
    """A documented difference: upstream keeps such gates in its files; ours has none."""
    skipped = range(converted.report["skipped_layers"])
    raw = torch.load(case.file("checkpoint"), weights_only=False)["model"]
    for layer in skipped:
        for gate in ("gate1", "gate2"):
            name = f"layers.{layer}.attention.{gate}"
            assert f"grad.vqa.{name}" not in case.tensors
            assert torch.equal(raw[name].detach(), case[f"after_step.{name}"])
    assert len(converted.model.adapter.gates) == case.spec["config"]["adapter_layer"]


@each_case(*MODEL_KINDS)
def test_the_frozen_decoder_alone(case: GoldenCase, converted: Converted) -> None:
    decoder = load_decoder(str(converted.decoder_folder))
    with torch.no_grad():
        embeddings = decoder.get_input_embeddings()(case["plain.input_ids"])
        hidden = run_body(decoder, embeddings, use_cache=False).last_hidden_state
        found = logits(decoder, hidden)
    torch.testing.assert_close(hidden, case["plain.hidden"], **case.tolerance(PLAIN))
    torch.testing.assert_close(found, case["plain.logits"], **case.tolerance(PLAIN))


@each_case(*MODEL_KINDS)
def test_half_precision_stays_near(case: GoldenCase, converted: Converted) -> None:
    """A sanity check only: upstream's own type moves token losses this far."""
    native = next(n.rsplit(".", 1)[1] for n in case.tensors if n.endswith((".bf16", ".fp16")))
    losses = token_losses(converted, "infer", "vqa")
    wanted = case[f"out.infer_logits.nomem.{native}"]
    torch.testing.assert_close(losses, wanted, **case.tolerance(native))


def renamed(case: GoldenCase, prefix: str) -> dict[str, torch.Tensor]:
    """Return golden tensors of parameters under our names; gates stacked, skipped layers out."""
    config = case.spec["config"]
    layers = case.spec["files"]["llama_hf_config"]["num_hidden_layers"]
    run = range(layers - config["adapter_layer"], layers)
    given = {n.removeprefix(prefix): t for n, t in case.tensors.items() if n.startswith(prefix)}
    out = {
        "connector.project.weight": given.get("visual_proj.weight"),
        "connector.slots.weight": given["temporal_emb.weight"],
        "adapter.prompts": given["adapter_query.weight"].view(len(run), config["adapter_len"], -1),
    }
    for ours, theirs in (("adapter.gates", "gate1"), ("adapter.video_bias", "gate2")):
        out[ours] = torch.stack([given[f"layers.{i}.attention.{theirs}"].flatten() for i in run])
    return {name: tensor for name, tensor in out.items() if tensor is not None}


def choice_of(row):
    from textreel.data.prompt import Turn

    _, question, *options, answer = row
    return Turn(task="choice", question=question, options=tuple(options), answer=int(answer))


def features_of(video: torch.Tensor) -> Features:
    return Features(
        values=video[:, None].half(),
        times_s=torch.arange(len(video), dtype=torch.float64),
        modality="image",
        encoder="golden",
        revision="",
    )


def replace_features(batch, video: torch.Tensor):
    from dataclasses import replace

    return replace(batch, features=video[:, : batch.features.shape[1], None])
