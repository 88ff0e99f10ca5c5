"""An SMPP relay that judges every message before it reaches the SMS centre."""
