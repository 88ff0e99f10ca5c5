"""What can go wrong with the records of law, by what the catcher does next."""


class RecordsError(Exception):
    """The records cannot be used as asked: tell the operator; the sentence names what and why."""


class NotTaken(RecordsError):
    """An appeal or a complaint, or a change to one, that is not taken; ``kind`` is a stable name for why.

    Nothing was changed.
    """

    def __init__(self, kind: str, sentence: str) -> None:
        super().__init__(sentence)
        self.kind = kind


class SqlUnavailable(RecordsError):
    """The database does not answer or is locked: nothing was changed, try again later."""


class SqlDamaged(SqlUnavailable):
    """The file of the database is damaged: waiting does not help; the sentence says what does."""
