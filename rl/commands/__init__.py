"""Subcommands of `assay` beside training and evaluating."""
