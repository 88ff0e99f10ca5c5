"""The operator's console and the providers' page."""
