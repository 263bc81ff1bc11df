"""`bench talk`: the second question about a video beside the first, in one conversation.

    second   the video stays encoded, and its keys and values read: the question's own tokens
    first    decode, encode, read the whole prompt, answer

Cases: the run in the package, about an mp4 of its world; and a random image-LLM of Idefics3's
class, small, shown the same file as eight pictures. Both answer in words; the random one never
stops by itself, so that both sides write as many tokens.
"""

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    Idefics3Config,
    Idefics3ForConditionalGeneration,
    Idefics3ImageProcessorPil,
    PreTrainedTokenizerFast,
)

from textreel.recipes.bench import BenchCase, BenchReport, compare, make_case, make_report
from textreel.recipes.demo_media import write_videos
from textreel.serve.session import Session, load
from textreel.synth.world.exam import draw_exam

QUESTIONS = ("what happens first ?", "what colour is the circle ?")
WANTED_TIMES = 3
CHAT = (
    "{% for m in messages %}{{ m['role'] | capitalize }}: {% for p in m['content'] %}"
    "{% if p['type'] == 'image' %}<image>{% else %}{{ p['text'] }}{% endif %}{% endfor %}"
    "<end_of_utterance>\n{% endfor %}"
)
SPECIALS = ("<image>", "<fake_token_around_image>", "<global-img>", "<end_of_utterance>")


@dataclass(frozen=True, kw_only=True, slots=True)
class Shape:
    """Size of the random image-LLM.

    Attributes:
        side_px: of a picture.
        width: of its tower and of its decoder.
        layers: of each.
    """

    side_px: int = 256
    width: int = 384
    layers: int = 8


def run_bench_talk(
    *, shape: Shape | None = None, rounds: int = 5, new_tokens: int = 8
) -> BenchReport:
    """Time both questions for both kinds of model.

    Args:
        shape: of the random image-LLM; None: the default.
        rounds: of each side.
        new_tokens: longest answer.
    """
    shape = shape or Shape()
    with TemporaryDirectory() as folder:
        home = Path(folder)
        scene = draw_exam(1, part="test", num_scenes=1, per_kind=1, kinds=("event",)).scenes[0]
        video = write_videos([scene], home, tick=lambda *_: None)[scene.id]
        seeing = load(save_random_image_llm(home / "image-llm", shape))
        cases = (
            _case("the run in the package", load("tiny"), video, rounds, new_tokens),
            _case("a random image-LLM", seeing, video, rounds, new_tokens),
        )
    return make_report("talk", cases, remarks=tuple(map(_remark, cases)))


def _remark(case: BenchCase) -> str:
    """Say how many times faster the second question is, beside what is wanted."""
    times = case.cpu_ratios["first"]
    verdict = "as wanted" if times >= WANTED_TIMES else "NOT as wanted"
    return (
        f"{case.name}: the second question is {times:.1f} times faster than the first in CPU "
        f"seconds, {case.wall_ratios['first']:.1f} in wall seconds (at least {WANTED_TIMES} "
        f"wanted: {verdict})"
    )


def _case(name: str, session: Session, video: Path, rounds: int, new_tokens: int) -> BenchCase:
    talk = session.chat(video, remember=False)
    one, two = QUESTIONS
    talk.ask(one, max_new_tokens=new_tokens)

    def second() -> str:
        return talk.ask(two, max_new_tokens=new_tokens).text

    def first() -> str:
        return session.chat(video, remember=False).ask(two, max_new_tokens=new_tokens).text

    differs = float(second() != first())
    seen = talk.seen
    return make_case(
        name,
        compare({"second": second, "first": first}, rounds=rounds),
        settings={"new_tokens": new_tokens, "frames": len(seen.frame_times_s)},
        differences={"the answer": differs},
        notes={"tokens_of_the_video": float(session.reader.num_tokens(seen))},
    )


def save_random_image_llm(folder: Path, shape: Shape) -> Path:
    """Write an image-LLM with random weights, whose tokens are bytes."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    core = Tokenizer(models.BPE({token: i for i, token in enumerate(alphabet)}, []))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    core.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=core, chat_template=CHAT)
    tokenizer.add_special_tokens({"additional_special_tokens": list(SPECIALS)})
    heads, hidden = shape.width // 64 or 1, 2 * shape.width
    sizes = {
        "hidden_size": shape.width,
        "intermediate_size": hidden,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": heads,
    }
    config = Idefics3Config(
        text_config={
            "model_type": "llama",
            **sizes,
            "vocab_size": len(tokenizer),
            "max_position_embeddings": 2048,
            "pad_token_id": None,
        },
        vision_config={**sizes, "image_size": shape.side_px, "patch_size": 16},
        scale_factor=4,
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        pad_token_id=0,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = Idefics3ForConditionalGeneration(config)
    model.generation_config.eos_token_id = None
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    side = {"longest_edge": shape.side_px}
    Idefics3ImageProcessorPil(size=side, max_image_size=side).save_pretrained(folder)
    return folder
