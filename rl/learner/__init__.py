"""Processes that update the policy, with DeepSpeed."""
