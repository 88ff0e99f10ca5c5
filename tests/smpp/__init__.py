"""SMPP octets and sessions, without a network."""
