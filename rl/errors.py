"""The one kind of error whose message is complete: shown to the user without a traceback."""


class UserError(RuntimeError):
    """Something the user can mend. The message says what, where, the value found, what to do."""
