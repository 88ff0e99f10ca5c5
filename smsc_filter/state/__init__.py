"""Hot state over the Redis protocol: what must be asked and settled for every batch."""
