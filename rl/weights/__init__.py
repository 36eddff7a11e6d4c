"""How new weights reach the rollout servers."""
