"""Sampling, learning and evaluating."""
