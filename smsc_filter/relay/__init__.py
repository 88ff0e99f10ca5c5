"""Sockets: the links to providers and to the SMSC, and the batch road between them."""
