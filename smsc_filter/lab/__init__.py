"""What surrounds the relay, for trying it out: simulated SMSC, load generator, bench, demo, a client to send with."""
