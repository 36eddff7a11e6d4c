"""Judging responses: verdicts, verifiers, and the killable workers they run in."""
