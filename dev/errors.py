"""Trouble that the person at the keyboard can mend: shown as a sentence, without a traceback."""


class SetupProblem(Exception):
    """The message says what is wrong and what to do about it."""
