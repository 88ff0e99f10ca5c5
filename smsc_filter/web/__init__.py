"""Pages and API: what providers, operators and subscribers reach by HTTP."""
