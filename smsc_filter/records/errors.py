"""What can go wrong with the records of law, by what the catcher does next."""


class RecordsError(Exception):
    """The records cannot be used as asked: tell the operator; the sentence names what and why."""


class SqlUnavailable(RecordsError):
    """The database does not answer or is locked: nothing was changed, try again later."""
