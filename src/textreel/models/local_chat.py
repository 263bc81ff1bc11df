"""Conversations with a causal language model in a Hugging Face folder, one at a time."""

import torch

from textreel.models.attention import PLAIN
from textreel.models.decoder import load_decoder, max_positions
from textreel.models.endpoint_errors import RequestError
from textreel.models.endpoint_wire import ChatRequest, Turn, completion_body
from textreel.models.generate import Sampling, generate_tokens
from textreel.models.tokenizer import load_tokenizer


class LocalChat:
    """A decoder with its tokenizer.

    Args:
        name: a directory or Hugging Face id; see `decoder.locate`.
        device: where it runs.

    Raises:
        DecoderNotFoundError: nothing of that name here.
        DecoderUnsupportedError: a model that does not go through transformers' attention
            interface, or has a slow tokenizer only.
    """

    def __init__(self, name: str, *, device: str = "cpu") -> None:
        self.name = name
        self.tokenizer = load_tokenizer(name)
        dtype = torch.float32 if device == "cpu" else torch.bfloat16
        self.decoder = load_decoder(name, dtype=dtype).to(device)

    def answer(self, request: ChatRequest) -> str:
        """Return the body that an endpoint would send with the model's answer.

        A model without a chat template reads the turns one after the other.

        Raises:
            RequestError: the conversation leaves no room for an answer.
        """
        ids = self._prompt(request.turns)
        limit = max_positions(self.decoder)
        room = request.max_tokens if limit is None else min(request.max_tokens, limit - len(ids))
        if room < 1:
            raise RequestError(
                f"the conversation has {len(ids)} tokens, and {self.name} takes {limit} together "
                "with the answer",
                code="too-long",
                hint="use a model that takes longer texts",
            )
        table = self.decoder.get_input_embeddings()
        tokens = torch.tensor([ids], device=self.decoder.device)
        found = generate_tokens(
            self.decoder,
            embeddings=table(tokens),
            lengths=torch.tensor([len(ids)], device=self.decoder.device),
            call=PLAIN,
            max_new_tokens=room,
            sampling=self._sampling(request),
        )[0]
        text = self.tokenizer.decode(found, skip_special_tokens=True)
        finish = "length" if len(found) >= room else "stop"
        return completion_body(str(text), finish=finish, tokens_in=len(ids), tokens_out=len(found))

    def _prompt(self, turns: tuple[Turn, ...]) -> list[int]:
        if self.tokenizer.chat_template is None:
            text = "\n\n".join(turn.text for turn in turns) + "\n\n"
            return list(self.tokenizer(text)["input_ids"])
        messages = [{"role": turn.role, "content": turn.text} for turn in turns]
        text = self.tokenizer.apply_chat_template(
            messages, tokenize=False, add_generation_prompt=True
        )
        return list(self.tokenizer(text, add_special_tokens=False)["input_ids"])

    def _sampling(self, request: ChatRequest) -> Sampling:
        if request.temperature == 0:
            return Sampling()
        generator = torch.Generator(device=self.decoder.device)
        generator.manual_seed(request.seed or 0)
        return Sampling(temperature=request.temperature, generator=generator)
