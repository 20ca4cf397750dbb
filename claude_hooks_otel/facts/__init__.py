"""Facts: what happened, each with a natural key, so that the same thing seen twice, late or out of order is still one thing."""
