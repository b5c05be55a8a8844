"""What a run must not try again."""


class BadInput(ValueError):
    """The input is wrong: its message names the setting and says what to do. No retry heals it.

    Whatever else is raised is a fault, a `ValueError` of a library too, which another attempt may heal. `workflows/policies.py`
    goes by the name of the class: a subclass has to be listed there.
    """
