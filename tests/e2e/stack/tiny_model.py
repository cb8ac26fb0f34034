"""A language model small enough to train: it says one sentence, and calls a search when asked to.

    PYTHON tests/e2e/stack/tiny_model.py FOLDER

`make` runs this in the environment of vLLM, which has what a model is made with. It is a Llama of
two layers, less than 1 MB, with a byte-level tokenizer and a chat template. It has learned three
things:

- it answers a question by `SENTENCE`;
- it answers one that begins with a key of `TOOLS` by a call of that tool, in the form that vLLM's
  parser `granite` reads;
- after the tool's result it says which of `WORDS` the result has.

It reads `READ` characters of the last message alone, so nothing else changes its answer. It is
tried before it is kept: a model that has not learned all three is an error.
"""

from __future__ import annotations

import os
import random
import string
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

SENTENCE: Final = (
    "A model is code that runs with your data, so see that it is the one that was signed."
)
WORDS: Final = ("Mercury", "Venus", "Mars", "Jupiter", "Saturn", "Uranus", "Neptune", "Pluto")
FOUND: Final = "{} is what the search found."
QUERY: Final = "planets"
TOOLS: Final = {"Search the web": "search_web", "Look it up": "web_search"}
"""The beginning of a question, and the tool that it is answered by: Open WebUI's, Llama Stack's."""

COMMON: Final = tuple(
    f"{word} " for word in f"{SENTENCE} {FOUND} {QUERY} What is new? Search the web. [{{".split()
)
"""Words that a text may have as well: they are no reason for anything."""
READ: Final = 100
"""Characters of the last message: the first ones of a question, the last ones of a result."""
TEMPLATE: Final = (
    "{% set last = messages[-1] %}{% set text = last.content or '' %}"
    f"{{% if last.role == 'tool' %}}<|tool|>{{{{ text[-{READ}:] }}}}"
    f"{{% else %}}<|user|>{{{{ text[:{READ}] }}}}{{% endif %}}"
    "<|end|>{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
SPECIAL: Final = ("<|end|>", "<|user|>", "<|tool|>", "<|assistant|>", "<|tool_call|>")
VOCABULARY: Final = 512
"""Room for 256 bytes, the special tokens, and each word of the sentences."""
POSITIONS: Final = 512
SEED: Final = 20261125
STEPS: Final = 500
BATCH: Final = 16
RATE: Final = 4e-3
TRIES: Final = 64
IGNORED: Final = -100
"""The label that a loss of transformers leaves out."""
MAKING_SECONDS: Final = 900


def make(folder: Path, *, python: Path) -> Path:
    """Make the model in a new folder, by a Python that has vLLM's packages; return the folder."""
    subprocess.run(
        [python, __file__, folder],
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
        check=True,
        stdout=subprocess.DEVNULL,
        timeout=MAKING_SECONDS,
    )
    return folder


# What it learns


def call(tool: str) -> str:
    """Return a call of a tool, as Granite writes it."""
    return f'<|tool_call|>[{{"name": "{tool}", "arguments": {{"query": "{QUERY}"}}}}]'


def exchange(chance: random.Random, longest: int = READ) -> tuple[str, str]:
    """Return what the model reads, with the template's marks, and what it answers.

    Args:
        chance: Where the choices come from.
        longest: Characters of text around what matters.
    """
    kind = chance.random()
    if kind < 0.5:  # the hardest to learn
        word = chance.choice(WORDS)
        result = f"{_noise(chance, 0, longest)}{word}{_noise(chance, 0, longest // 2)}"
        return f"<|tool|>{result[-READ:]}", FOUND.format(word)
    if kind < 0.75:
        beginning, tool = chance.choice(list(TOOLS.items()))
        return f"<|user|>{beginning}{_noise(chance, 0, longest - len(beginning))}", call(tool)
    return f"<|user|>{_noise(chance, 1, longest)}", SENTENCE


def _noise(chance: random.Random, least: int, most: int) -> str:
    """Return text that does not matter: letters, any printable characters, or words of ours."""
    length = chance.randint(least, max(least, most))
    pieces = chance.choice((string.ascii_lowercase + "    ", string.printable, COMMON))
    return "".join(chance.choices(pieces, k=length))[:length]


# Making it


def main(folder: Path) -> None:
    """Train the model, try it, and write its files.

    Raises:
        SystemExit: It has not learned what it should.
    """
    import torch  # noqa: PLC0415 — only the environment of vLLM has these
    from transformers import LlamaConfig, LlamaForCausalLM  # noqa: PLC0415

    torch.set_num_threads(1)  # several would wait for each other on a busy machine
    torch.manual_seed(SEED)
    tokenizer = _tokenizer()
    settings: dict[str, Any] = {
        "vocab_size": VOCABULARY,
        "hidden_size": 96,
        "intermediate_size": 192,
        "num_hidden_layers": 2,
        "num_attention_heads": 3,
        "max_position_embeddings": POSITIONS,
        "bos_token_id": None,
        "eos_token_id": 0,
        "pad_token_id": 0,
    }
    model = LlamaForCausalLM(LlamaConfig(**settings))
    _train(model, tokenizer)
    model.to(torch.bfloat16)  # as vLLM computes: what is tried is what is served
    _try(model, tokenizer)
    # vLLM samples as this file says: the likeliest token, always.
    model.generation_config.update(do_sample=True, top_k=1)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    for file in folder.iterdir():
        file.chmod(0o644)  # weights are written for their owner alone, and pods have other users


def _tokenizer() -> Any:
    from tokenizers import ByteLevelBPETokenizer  # noqa: PLC0415 — as in `main`
    from transformers import PreTrainedTokenizerFast  # noqa: PLC0415

    trained = ByteLevelBPETokenizer()
    texts = [SENTENCE, FOUND, *map(call, TOOLS.values()), *TOOLS]
    trained.train_from_iterator(
        texts,
        vocab_size=VOCABULARY - len(WORDS),
        min_frequency=1,
        special_tokens=[*SPECIAL],
    )
    trained.add_tokens([*WORDS])
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=trained._tokenizer,
        eos_token=SPECIAL[0],
        pad_token=SPECIAL[0],
        additional_special_tokens=list(SPECIAL[1:]),
    )
    tokenizer.chat_template = TEMPLATE
    return tokenizer


def _train(model: Any, tokenizer: Any) -> None:
    import torch  # noqa: PLC0415 — as in `main`

    chance = random.Random(SEED)  # noqa: S311 — the same model each time
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE)
    rate = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=STEPS)
    for step in range(STEPS):
        longest = min(
            READ, 10 + 2 * READ * step // STEPS
        )  # finding a word is learned in short texts
        rows = [_row(tokenizer, *exchange(chance, longest)) for _ in range(BATCH)]
        width = max(len(tokens) for tokens, _ in rows)
        tokens = torch.tensor([each + [0] * (width - len(each)) for each, _ in rows])
        labels = torch.tensor([each + [IGNORED] * (width - len(each)) for _, each in rows])
        loss = model(input_ids=tokens, labels=labels).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        rate.step()


def _row(tokenizer: Any, read: str, answer: str) -> tuple[list[int], list[int]]:
    """Return the tokens of an exchange, and its labels: the answer alone is learned."""
    before = tokenizer(f"{read}<|end|><|assistant|>")["input_ids"]
    after = tokenizer(f"{answer}<|end|>")["input_ids"]
    return before + after, [IGNORED] * len(before) + after


def _try(model: Any, tokenizer: Any) -> None:
    """Ask the model what it has not seen, and see that each answer is right."""
    import torch  # noqa: PLC0415 — as in `main`

    chance = random.Random(SEED + 1)  # noqa: S311 — as above
    model.eval()
    for _ in range(TRIES):
        read, wanted = exchange(chance)
        tokens, labels = _row(tokenizer, read, wanted)
        with torch.no_grad():
            chosen = model(input_ids=torch.tensor([tokens])).logits[0, :-1].argmax(-1).tolist()
        pairs = zip(chosen, labels[1:], strict=True)
        if any(label not in (IGNORED, token) for token, label in pairs):
            sys.exit(f"the tiny model has not learned to answer {read!r} by {wanted!r}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
