"""Summing in the clear: the yardstick for what protection costs.

Round 1. Every client sends its digits to the server, which adds them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from veilsum.encoding import FixedPoint
from veilsum.errors import ProtocolError
from veilsum.protocols.aggregator import Aggregator
from veilsum.protocols.base import Contributor, Credentials, Message, Party, Phase, state
from veilsum.protocols.session import Session, client_name
from veilsum.wire import Reader, Writer

__all__ = ["Client", "Plain", "Server", "Update"]

SERVER = "server"
CAPACITY = 2**62 - 1  # sums stay in int64


@dataclass(frozen=True, kw_only=True, eq=False)
class Update(Message):
    """A client's digits, for the server's eyes.

    Parameters
    ----------
    digits : ndarray of int64, shape (width,)
        `Session.encode` of the update.
    """

    digits: NDArray[np.int64] = field(repr=False)

    label: ClassVar[str] = "plain/update"
    phase: ClassVar[Phase] = "protect"

    def write(self, writer: Writer) -> None:
        """Append the digits."""
        writer.array(self.digits)

    @classmethod
    def read(cls, reader: Reader) -> Mapping[str, Any]:
        """Return the digits."""
        return {"digits": reader.array(np.int64, max_axes=1)}


class Client(Contributor):
    """Sends its update, unprotected."""

    keeps = ()

    def __init__(
        self, session: Session, client: int, update: ArrayLike | None, credentials: Credentials
    ) -> None:
        super().__init__(session, client_name(client), credentials, update=update)

    @state("protect")
    def begin(self) -> list[Message]:
        """Round 1: send the digits."""
        update = Update(
            session_id=self.session.id,
            sender=self.name,
            recipient=SERVER,
            digits=self.session.encode(self.spend()),
        )
        return [update]


class Server(Party):
    """Adds what comes and sees it all."""

    keeps = ("_total",)
    hears = (Update,)

    def __init__(self, session: Session, credentials: Credentials) -> None:
        super().__init__(session, SERVER, credentials)
        self._total = np.zeros(session.width, np.int64)

    @state("combine")
    def begin(self) -> list[Message]:
        """Wait for the updates."""
        self.gather(
            Update,
            self.session.clients,
            each=self._add,
            then=self.close,
            least=self.session.min_survivors,
        )
        return []

    def _add(self, update: Update) -> None:
        if not self.session.admits(update.digits):
            raise ProtocolError(f"{update.sender} sent digits that no update of the session has")
        self._total += update.digits

    @state("combine")
    def close(self) -> list[Message]:
        """End with the sum of those that came."""
        survivors = self.session.survivors(self.heard)
        self.conclude(self.session.decode(self._total, summands=len(survivors)), survivors)
        return []


class Plain(Aggregator):
    """No protection: what the others are compared with.

    ============== ====================================================================
    adversary      none: the server is trusted with every update
    collusion      not applicable
    dropouts       any, down to `min_survivors` clients
    leaks          every update, to the server
    ============== ====================================================================

    Parameters
    ----------
    min_survivors : int, optional
        How many clients must stay: two by default, as under the protocols that hide something, so
        that all of them refuse the same rounds; one in a roster of one.

    Examples
    --------
    >>> Plain().aggregate([[0.5], [0.25]]).sum
    array([0.75])
    """

    name = "plain"
    messages = (Update,)

    def __init__(self, *, min_survivors: int | None = None) -> None:
        self.min_survivors = min_survivors

    def capacity_for(self, encoding: FixedPoint, roster: Sequence[int]) -> int:  # noqa: ARG002
        """Return the largest magnitude that a sum of these clients' digits may have."""
        return CAPACITY

    def server(self, session: Session, name: str, credentials: Credentials) -> Party:  # noqa: ARG002
        """Return the server."""
        return Server(session, credentials)

    def client(
        self, session: Session, client: int, update: ArrayLike | None, credentials: Credentials
    ) -> Contributor:
        """Return a client."""
        return Client(session, client, update, credentials)
