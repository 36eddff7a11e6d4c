"""The policy that a run starts from."""
