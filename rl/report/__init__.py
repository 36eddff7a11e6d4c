"""What a run looks like: a page to open from disk, and the same live in a terminal."""
