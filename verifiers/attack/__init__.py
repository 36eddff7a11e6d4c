"""The attack suite: what a policy under reinforcement would find, tried before it can.

attacker.py          what an attacker is: a name, a reason, and responses to a task
reading.py           the right answer, read out of a solution
literals.py          the texts that an environment's source holds
anything.py          attacks on any environment
mathematics.py       on final answers that are compared as mathematics
programs.py          on environments that run programs (hostile_programs.py: their texts)
mutation.py, program_mutation.py    near misses, and right answers rewritten
report.py            what came of it: rates with bounds, cost, admitted or not

Attackers are data in, data out: they see a task and give responses. envs/attack.py runs them.
"""

VERSION = "attack/1"
