"""Hot state, on a real embedded Valkey."""
