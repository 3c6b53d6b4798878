"""The edge node: the pure core (model, sync, media ladder) and the node built on it."""
