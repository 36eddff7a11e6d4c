"""Every environment by name: one line each, imported only when a recipe asks for it."""

ENVS: dict[str, str] = {
    "arithmetic": "envs.arithmetic:Arithmetic",
    "dataset": "envs.dataset:Dataset",
    "multiples": "envs.arithmetic:Multiples",
}
