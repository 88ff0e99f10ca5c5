"""What pages share, whoever they are for: templates, languages, style."""
