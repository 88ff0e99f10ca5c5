"""Text to the probability that it is commercial."""
