"""Every environment by name: one line each, imported only when a recipe asks for it."""

ENVS: dict[str, str] = {
    "algebra": "envs.algebra:Algebra",
    "arithmetic": "envs.arithmetic:Arithmetic",
    "calculus": "envs.calculus:Calculus",
    "counting": "envs.counting:Counting",
    "dataset": "envs.dataset:Dataset",
    "dates": "envs.dates:Dates",
    "linear_systems": "envs.linear_systems:LinearSystems",
    "multiples": "envs.arithmetic:Multiples",
    "number_theory": "envs.number_theory:NumberTheory",
    "unit_conversion": "envs.unit_conversion:UnitConversion",
}
