"""Checks of an audit, one question each.

A file's ``Check`` has ``title`` and ``order``, its place among the others; called with a ``Patient`` it gives a ``Finding``. It
raises ``NotApplicable`` or ``Undecidable`` with the reason; whatever else it raises could not tell either.
"""
