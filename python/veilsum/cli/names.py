"""Names that several commands know."""

from enum import StrEnum

__all__ = ["Engine", "Protocol"]


class Protocol(StrEnum):
    """A protocol by its name on the command line."""

    PLAIN = "plain"
    PAILLIER = "paillier"
    SHARING = "sharing"
    MASKING = "masking"
    THRESHOLD_PAILLIER = "threshold_paillier"


class Engine(StrEnum):
    """An engine by its name on the command line."""

    LOCAL = "local"
    FLOWER = "flower"
