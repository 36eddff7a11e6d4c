"""Every environment by name: one line each, imported only when a recipe asks for it."""

ENVS: dict[str, str] = {
    "algebra": "envs.algebra:Algebra",
    "algorithms": "envs.algorithms:Algorithms",
    "arithmetic": "envs.arithmetic:Arithmetic",
    "bug_repair": "envs.bug_repair:BugRepair",
    "calculus": "envs.calculus:Calculus",
    "counting": "envs.counting:Counting",
    "dataset": "envs.dataset:Dataset",
    "dates": "envs.dates:Dates",
    "linear_systems": "envs.linear_systems:LinearSystems",
    "multiples": "envs.arithmetic:Multiples",
    "number_theory": "envs.number_theory:NumberTheory",
    "output_prediction": "envs.output_prediction:OutputPrediction",
    "running_sum": "envs.running_sum:RunningSum",
    "stdin_programs": "envs.stdin_programs:StdinPrograms",
    "transformations": "envs.transformations:Transformations",
    "unit_conversion": "envs.unit_conversion:UnitConversion",
}
