"""Answers from rollout servers: when they begin, how they are made and judged."""
