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

# Data sets that are only ever evaluated on: all of their tasks are held out.
BENCHMARKS: dict[str, str] = {
    "aime_2024": "envs.math_benchmarks:Aime2024",
    "aime_2025": "envs.math_benchmarks:Aime2025",
    "amc": "envs.math_benchmarks:Amc",
    "gsm8k": "envs.math_benchmarks:Gsm8k",
    "humaneval": "envs.program_benchmarks:HumanEval",
    "humaneval_plus": "envs.program_benchmarks:HumanEvalPlus",
    "livecodebench": "envs.program_benchmarks:LiveCodeBench",
    "math_500": "envs.math_benchmarks:Math500",
    "mbpp": "envs.program_benchmarks:Mbpp",
    "mbpp_plus": "envs.program_benchmarks:MbppPlus",
    "minerva": "envs.math_benchmarks:Minerva",
    "olympiad_bench": "envs.math_benchmarks:OlympiadBench",
}
