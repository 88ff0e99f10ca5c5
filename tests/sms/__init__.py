"""From a PDU to what the subscriber reads."""
