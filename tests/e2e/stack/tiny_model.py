"""A language model small enough to make: it answers with tokens, and with nonsense.

    PYTHON tests/e2e/stack/tiny_model.py FOLDER

`make` runs this in the environment of vLLM, which has what a model is made with. It is the same
model each time: a Llama of two layers, a byte-level tokenizer trained on one sentence, and a
chat template. About 1.5 MB.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

TEXT: Final = "A model is code that runs with your data, so see that it is the one that was signed."
TEMPLATE: Final = (
    "{% for message in messages %}<|{{ message.role }}|>{{ message.content }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
SPECIAL: Final = ("<|end|>", "<|user|>", "<|system|>", "<|assistant|>")
VOCABULARY: Final = 400
"""Tokens: 256 bytes, the special ones, and what the sentence has more."""
SEED: Final = 20261125
MAKING_SECONDS: Final = 300


def make(folder: Path, *, python: Path) -> Path:
    """Make the model in a new folder, by a Python that has vLLM's packages; return the folder."""
    subprocess.run(
        [python, __file__, folder],
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
        check=True,
        capture_output=True,
        timeout=MAKING_SECONDS,
    )
    return folder


def main(folder: Path) -> None:
    """Write the model's files."""
    import torch  # noqa: PLC0415 — only the environment of vLLM has these
    from tokenizers import ByteLevelBPETokenizer  # noqa: PLC0415
    from transformers import (  # noqa: PLC0415
        LlamaConfig,
        LlamaForCausalLM,
        PreTrainedTokenizerFast,
    )

    torch.manual_seed(SEED)
    settings: dict[str, Any] = {
        "vocab_size": VOCABULARY,
        "hidden_size": 128,
        "intermediate_size": 256,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "max_position_embeddings": 512,
        "bos_token_id": None,
        "eos_token_id": 0,
    }
    LlamaForCausalLM(LlamaConfig(**settings)).save_pretrained(folder)

    trained = ByteLevelBPETokenizer()
    trained.train_from_iterator([TEXT], vocab_size=VOCABULARY, special_tokens=list(SPECIAL))
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=trained._tokenizer,
        eos_token=SPECIAL[0],
        pad_token=SPECIAL[0],
        additional_special_tokens=list(SPECIAL[1:]),
    )
    tokenizer.chat_template = TEMPLATE
    tokenizer.save_pretrained(folder)
    for file in folder.iterdir():
        file.chmod(0o644)  # weights are written for their owner alone, and pods have other users


if __name__ == "__main__":
    main(Path(sys.argv[1]))
