"""One error base: an error says what was received, what was expected and how to mend it, never a patient's value.

Exit codes (docs/operations.md): 0 done, 2 settings or input refused, 3 a quality or publish gate held,
4 an environment fault.
"""


class SalusError(Exception):
    """Base of every error that Salus raises on purpose."""

    exit_code = 4


class Refused(SalusError):
    """Settings or input that cannot be used as given."""

    exit_code = 2


class Held(SalusError):
    """A quality or publish gate held; nothing was published."""

    exit_code = 3


class EnvironmentFault(SalusError):
    """Something around Salus is missing or broken: a lock, a disk, a library, a rank."""

    exit_code = 4
