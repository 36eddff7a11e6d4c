"""Capability density: how much capability a parameter holds, against a reference family."""
