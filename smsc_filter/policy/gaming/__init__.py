"""Signs that somebody plays the rules: a small statistic a module, with its false-alarm rate and why it holds."""
