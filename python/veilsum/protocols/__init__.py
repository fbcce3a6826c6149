"""Secure aggregation: protocols that open the sum of many vectors and nothing else.

`aggregate` runs one round in this process. An aggregator (`Plain`, `Paillier`, `ThresholdPaillier`,
`Sharing`, `Masking`) runs one round after the other and keeps what outlives a round. A protocol of
one's own is a few parties (`Party`), their messages (`Message`), and an `Aggregator` that names
them; `veilsum.protocols.plain` is the shortest example. `average` opens means with hidden weights.
`suspend` and `resume` keep a party as bytes between two messages.
"""

import inspect
from collections.abc import Iterable
from typing import Literal

from veilsum.encoding import FixedPoint
from veilsum.protocols.aggregator import Aggregate, Aggregator, Updates
from veilsum.protocols.averaging import Average, WeightedMean, average
from veilsum.protocols.base import (
    Contributor,
    Credentials,
    Message,
    Outcome,
    Party,
    Phase,
    state,
)
from veilsum.protocols.masking import Masking
from veilsum.protocols.paillier import Paillier
from veilsum.protocols.plain import Plain
from veilsum.protocols.session import Policy, Session
from veilsum.protocols.sharing import Sharing
from veilsum.protocols.station import Heartbeat, Refusal, Station
from veilsum.protocols.suspension import resume, suspend
from veilsum.protocols.threshold_paillier import ThresholdPaillier
from veilsum.protocols.transport import Drive, InMemoryTransport, Transport, drive

__all__ = [
    "Aggregate",
    "Aggregator",
    "Average",
    "Contributor",
    "Credentials",
    "Drive",
    "Heartbeat",
    "InMemoryTransport",
    "Masking",
    "Message",
    "Outcome",
    "Paillier",
    "Party",
    "Phase",
    "Plain",
    "Policy",
    "Refusal",
    "Session",
    "Sharing",
    "Station",
    "ThresholdPaillier",
    "Transport",
    "WeightedMean",
    "aggregate",
    "average",
    "drive",
    "resolve",
    "resume",
    "state",
    "suspend",
]

_AGGREGATORS: tuple[type[Aggregator], ...] = (
    Plain,
    Paillier,
    ThresholdPaillier,
    Sharing,
    Masking,
)


def aggregate(
    updates: Updates,
    *,
    protocol: str | Aggregator,
    threshold: int | None = None,
    min_survivors: int | None = None,
    holders: Literal["clients"] | int | None = None,
    check: bool | None = None,
    packed: int | None = None,
    quorum: int | None = None,
    max_errors: int | None = None,
    key_bits: int | None = None,
    degree: int | None = None,
    corrupt: float | None = None,
    dropout: float | None = None,
    insecure: bool | None = None,
    threads: int | None = None,
    encoding: FixedPoint | None = None,
    dropped: Iterable[int] = (),
    round: int = 0,  # noqa: A002
    model_digest: bytes = b"",
    transport: Transport | None = None,
) -> Aggregate:
    """Sum clients' updates under a protocol, all parties in this process.

    What leaks, and to whom, stands in the class of each protocol: `Plain`, `Paillier`,
    `ThresholdPaillier`, `Sharing`, `Masking`.

    Parameters
    ----------
    updates : sequence of array_like, or mapping of int to array_like
        One array of real numbers a client, all of one shape.
    protocol : {"plain", "paillier", "threshold_paillier", "sharing", "masking"} or Aggregator
        What protects the updates. Pass an aggregator to keep its keys for the next round.
    min_survivors : int, optional
        The fewest clients whose sum may be opened; by default the protocol's, two or more unless
        the roster is one client.
    threshold, holders, check, packed, quorum, max_errors, key_bits, insecure, threads : optional
        Options of the protocol's class, for those that have them.
    degree, corrupt, dropout : optional
        Options of the protocol's class, for those that have them.
    encoding : FixedPoint, optional
        The public scale and bound; ``FixedPoint.binary()`` by default.
    dropped : iterable of int
        Clients that vanish before they send anything.
    round : int
        The training round; bound into the session.
    model_digest : bytes
        An opaque digest of the model; bound into the session.
    transport : Transport, optional
        Who carries the messages, and may lose or alter them.

    Returns
    -------
    Aggregate
        The sum of the survivors' updates, who they are, seconds and bytes by party and phase, and
        which parties' altered messages were left out.

    Raises
    ------
    ValueError
        When an argument is out of range, or an option is none of the protocol's.
    BudgetExceeded
        When a value is NaN, infinite or beyond the encoding's bound.
    ProtocolError
        When too few parties are left, or a message is refused.
    DecodingError
        When holders' sums disagree, beyond what is repaired.

    Examples
    --------
    >>> updates = [[0.5, 1.0], [0.25, 2.0], [4.0, 4.0], [8.0, 8.0]]
    >>> result = aggregate(updates, protocol="sharing", threshold=2, dropped=[3])
    >>> result.sum, result.survivors
    (array([4.75, 7.  ]), (0, 1, 2))
    """
    options: dict[str, object] = {
        "threshold": threshold,
        "min_survivors": min_survivors,
        "holders": holders,
        "check": check,
        "packed": packed,
        "quorum": quorum,
        "max_errors": max_errors,
        "key_bits": key_bits,
        "degree": degree,
        "corrupt": corrupt,
        "dropout": dropout,
        "insecure": insecure,
        "threads": threads,
    }
    given = {name: value for name, value in options.items() if value is not None}
    return resolve(protocol, **given).aggregate(
        updates,
        encoding=encoding,
        dropped=dropped,
        round=round,
        model_digest=model_digest,
        transport=transport,
    )


def resolve(protocol: str | Aggregator, **options: object) -> Aggregator:
    """Return the aggregator that a name stands for, or the given one as it is.

    Parameters
    ----------
    protocol : {"plain", "paillier", "threshold_paillier", "sharing", "masking"} or Aggregator
        A name makes a fresh aggregator.
    **options
        For the protocol's class; none where an aggregator is given.

    Raises
    ------
    ValueError
        When no protocol has that name, or an option is none of the protocol's.

    Examples
    --------
    >>> resolve("sharing", holders=5, threshold=3).name
    'sharing'
    """
    if isinstance(protocol, Aggregator):
        _refuse_strange(options, (), f"the given {type(protocol).__name__} has its own")
        return protocol
    for kind in _AGGREGATORS:
        if kind.name == protocol:
            _refuse_strange(options, inspect.signature(kind).parameters, f"{protocol!r} has none")
            return kind(**options)
    names = ", ".join(repr(kind.name) for kind in _AGGREGATORS)
    raise ValueError(f"protocol: got {protocol!r}, expected {names} or an Aggregator")


def _refuse_strange(options: Iterable[str], known: Iterable[str], reason: str) -> None:
    strange = sorted(set(options).difference(known))
    if strange:
        raise ValueError(f"{strange[0]}: not an option here, {reason}; leave it out")
