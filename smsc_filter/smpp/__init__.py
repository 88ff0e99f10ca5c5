"""Octets to PDUs and back, by SMPP v3.4; sessions without sockets or clocks."""
