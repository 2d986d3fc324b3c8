"""What a user can get wrong, as one exception type that the commands turn into one line."""


class InputError(ValueError):
    """The request or its input is wrong.

    The message is one sentence or two for the person at the keyboard: what is wrong, what was
    expected, what to do. Commands print it to stderr and exit with status 2.
    """
