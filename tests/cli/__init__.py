"""The command line, each verb as a person runs it."""
