"""Early warning: watches what was decided, raises alarms and sees that somebody hears them."""
