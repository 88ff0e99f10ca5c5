"""The operator's console, and the page of providers."""
