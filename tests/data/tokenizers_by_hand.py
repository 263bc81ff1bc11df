"""A word-level tokenizer whose ids are known by heart, and a byte-level one that merges."""

from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from textreel.data.prompt import PromptTemplate

WORDS = (
    "<pad> <bos> <eos> <unk> video : question what where ? choices a ) b c answer "
    "red blue big ball left story one two . ;"
).split()
ID = {word: index for index, word in enumerate(WORDS)}

TEMPLATE = PromptTemplate(
    name="test",
    choice_instruction="",
    open_instruction="",
    summary_instruction="",
    video_lead="video : ",
    context="{text} . ",
    question="question : {question} ",
    choices_lead="choices : ",
    option="{letter_low} ) {text} ",
    choice_lead="answer : ",
    choice_target="{text}",
    open_lead="answer : ",
    summary_lead="story : ",
    turn_separator=" ",
)
CHATML = "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}<end>\n{% endfor %}"


def ids(text: str) -> list[int]:
    return [ID[word] for word in text.split()]


def word_tokenizer(**special) -> PreTrainedTokenizerFast:
    core = Tokenizer(models.WordLevel(ID, unk_token="<unk>"))
    core.pre_tokenizer = pre_tokenizers.Split(" ", behavior="removed")
    names = {"pad_token": "<pad>", "bos_token": "<bos>", "eos_token": "<eos>"}
    return PreTrainedTokenizerFast(tokenizer_object=core, unk_token="<unk>", **{**names, **special})


def byte_tokenizer(*merged: str, chat_template: str | None = None) -> PreTrainedTokenizerFast:
    """Every byte a token, and every word of `merged` (with a space before it: `Ġ`) one more."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {symbol: index for index, symbol in enumerate(alphabet)}
    merges = []
    for word in merged:
        for end in range(2, len(word) + 1):
            if word[:end] not in vocabulary:
                merges.append((word[: end - 1], word[end - 1]))
                vocabulary[word[:end]] = len(vocabulary)
    core = Tokenizer(models.BPE(vocabulary, merges))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    core.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=core, eos_token="<eos>")
    tokenizer.add_special_tokens({"additional_special_tokens": ["<end>", "<|user|>"]})
    tokenizer.chat_template = chat_template
    return tokenizer
