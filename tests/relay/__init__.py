"""The relay end to end: real processes, bare sockets."""
