"""`model: embedded`: a tiny Qwen3 or Qwen3-MoE policy with its own tokenizer, in a directory.

Byte-level tokens: any text round-trips exactly, whatever the environment. A few strings that open
every answer are one token each, so that answers stay short.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from rl.errors import UserError
from rl.recipe.sections import EmbeddedPolicy

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3MoeConfig

PAD, END = "<|pad|>", "<|end|>"
ROLES = ("system", "user", "assistant")
SPECIAL = (PAD, END, *(f"<|{role}|>" for role in ROLES))
WHOLE_WORDS = ("\\boxed{", "Answer: ")

HEAD_DIM = 32  # the smallest that vLLM's attention on CPUs supports
MAX_PARAMETERS = 3_000_000
INITIALIZER_RANGE = 0.08  # learns the format in half the updates that the usual 0.02 takes

CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|' + message['role'] + '|>' + message['content'] + '<|end|>' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)


def make_tokenizer(max_tokens: int) -> PreTrainedTokenizerFast:
    """One token per byte, the whole words, and the special tokens of a conversation."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: number for number, token in enumerate((*SPECIAL, *alphabet))}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in SPECIAL])
    tokenizer.add_tokens([AddedToken(word, normalized=False) for word in WHOLE_WORDS])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        chat_template=CHAT_TEMPLATE,
        pad_token=PAD,
        eos_token=END,
        extra_special_tokens=[f"<|{role}|>" for role in ROLES],
        model_max_length=max_tokens,
        clean_up_tokenization_spaces=False,
    )


def make_config(
    size: EmbeddedPolicy, tokenizer: PreTrainedTokenizerFast
) -> Qwen3Config | Qwen3MoeConfig:
    from transformers import Qwen3Config, Qwen3MoeConfig

    experts: dict[str, Any] = {
        "num_experts": size.experts,
        "num_experts_per_tok": size.experts_per_token,
        "moe_intermediate_size": size.intermediate,
        "norm_topk_prob": True,
    }
    kind: Any
    kind, extra = (Qwen3MoeConfig, experts) if size.experts else (Qwen3Config, {})
    return kind(
        vocab_size=len(tokenizer),
        hidden_size=size.hidden,
        intermediate_size=size.intermediate,
        num_hidden_layers=size.layers,
        num_attention_heads=size.heads,
        num_key_value_heads=size.kv_heads,
        head_dim=HEAD_DIM,
        max_position_embeddings=size.max_tokens,
        initializer_range=INITIALIZER_RANGE,
        tie_word_embeddings=True,
        pad_token_id=SPECIAL.index(PAD),
        eos_token_id=SPECIAL.index(END),
        bos_token_id=None,
        dtype="float32",
        **extra,
    )


def check_size(n_parameters: int) -> None:
    """Raises UserError when that is more than MAX_PARAMETERS."""
    if n_parameters > MAX_PARAMETERS:
        raise UserError(
            f"the sizes under 'embedded' make a policy of {n_parameters:,} parameters, at most "
            f"{MAX_PARAMETERS:,} are meant: lower embedded.layers, embedded.hidden, "
            "embedded.intermediate or embedded.experts, or give your own model=DIRECTORY"
        )


def make_embedded(directory: Path, size: EmbeddedPolicy, seed: int) -> int:
    """Write an untrained policy into `directory` (fp32). Returns its number of parameters.

    Raises:
        UserError: the sizes make a policy of more than MAX_PARAMETERS.
    """
    import torch
    from transformers import AutoModelForCausalLM, GenerationConfig
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
    tokenizer = make_tokenizer(size.max_tokens)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = AutoModelForCausalLM.from_config(make_config(size, tokenizer))
    n_parameters = model.num_parameters()
    check_size(n_parameters)
    model.generation_config = GenerationConfig(
        do_sample=True, eos_token_id=SPECIAL.index(END), pad_token_id=SPECIAL.index(PAD)
    )
    model.save_pretrained(directory)
    tokenizer.save_pretrained(directory)
    return n_parameters
