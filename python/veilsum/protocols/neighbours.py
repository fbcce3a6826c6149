"""Who masks with whom: a sparse random graph, drawn from a digest, and how dense it has to be.

The clients stand on a ring in an order drawn from a public seed, and each is the neighbour of the
``degree / 2`` nearest on either side (Harary's graph, the sparsest that stays connected when any
``degree - 1`` clients go). Where the degree reaches all others the graph is complete, and the seed
is of no account.

Source: Bell, Bonawitz, Gascón, Lepoint and Raykova, "Secure single-server aggregation with
(poly)logarithmic overhead", CCS 2020, section 3; complete: Bonawitz et al., "Practical secure
aggregation for privacy-preserving machine learning", CCS 2017, section 4.
"""

import math
from bisect import bisect_left
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Self

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from numpy.typing import NDArray

__all__ = [
    "SEED_BYTES",
    "Crowd",
    "Density",
    "Neighbourhoods",
    "choose_degree",
    "require_degree",
]

SEED_BYTES = 32
_COUNTER_BYTES = 16
_LOG_ERROR = 1e-9  # above what math.log2 of two integers and their difference can be off


class Neighbourhoods:
    """The neighbours of every client, by rank: 0 to ``clients - 1``.

    Parameters
    ----------
    clients : int
        At least 1.
    degree : int
        Neighbours of a client: even, or at least ``clients - 1`` for the complete graph.
    seed : bytes
        32 bytes that determine the order on the ring, the same for all clients.

    Raises
    ------
    ValueError
        If an argument is out of range.

    Examples
    --------
    >>> ring = Neighbourhoods(9, 4, bytes(32))
    >>> ring.of(0)
    (1, 3, 7, 8)
    >>> all(0 in ring.of(rank) for rank in ring.of(0))
    True
    >>> Neighbourhoods(4, 3, bytes(32)).of(1)
    (0, 2, 3)
    """

    def __init__(self, clients: int, degree: int, seed: bytes) -> None:
        if clients < 1:
            raise ValueError(f"clients: got {clients}, expected at least 1")
        self.clients = clients
        self.degree = min(degree, clients - 1)
        require_degree(self.clients, self.degree)
        if len(seed) != SEED_BYTES:
            raise ValueError(f"seed: got {len(seed)} bytes, expected {SEED_BYTES}")
        if not self.complete:
            self._ring = _shuffled(clients, seed)
            self._place = np.empty_like(self._ring)
            self._place[self._ring] = np.arange(clients)

    @property
    def complete(self) -> bool:
        """Whether everybody is everybody's neighbour."""
        return self.degree == self.clients - 1

    def of(self, rank: int) -> tuple[int, ...]:
        """Return the ranks of a client's neighbours, ascending."""
        if not 0 <= rank < self.clients:
            raise ValueError(f"rank: got {rank}, expected 0 to {self.clients - 1}")
        if self.complete:
            return (*range(rank), *range(rank + 1, self.clients))
        half = self.degree // 2
        steps = np.concatenate([np.arange(-half, 0), np.arange(1, half + 1)])
        places = (self._place[rank] + steps) % self.clients
        return tuple(np.sort(self._ring[places]).tolist())

    def hold_together(self, present: NDArray[np.bool_]) -> bool:
        """Whether the clients that are left, one flag a rank, still are one connected graph.

        They fall apart where ``degree / 2`` or more in a row are missing on the ring, at two
        places or more: what is between has no neighbour beyond.

        Examples
        --------
        >>> ring = Neighbourhoods(9, 2, bytes(32))
        >>> left = np.ones(9, np.bool_)
        >>> left[list(ring.of(0))] = False
        >>> ring.hold_together(left)
        False
        """
        if self.complete:
            return True
        left = np.flatnonzero(present[self._ring])
        gaps = np.diff(left, append=left[:1] + self.clients) - 1
        return int(np.count_nonzero(gaps >= self.degree // 2)) <= 1


@dataclass(frozen=True, kw_only=True)
class Density:
    """How many neighbours a client has, how many of them rebuild a seed, and what may fail.

    Parameters
    ----------
    degree : int
        Neighbours of a client.
    threshold : int
        How many clients rebuild a seed.
    log2_secrecy : float
        Bounds the logarithm of the chance that, for some honest client, the server and the corrupt
        neighbours could get both of its seeds; ``-inf`` where they cannot.
    log2_connectivity : float
        Of the chance that the ring can be cut at two places, by corrupt clients and by calling
        honest ones lost, so that the server learns the sum of each part.
    log2_correctness : float
        Of the chance that some client keeps fewer than `threshold` neighbours, which ends the round
        without a sum.
    """

    degree: int
    threshold: int
    log2_secrecy: float
    log2_connectivity: float
    log2_correctness: float


@lru_cache(maxsize=64)
def choose_degree(
    clients: int,
    *,
    corrupt: float = 0.1,
    dropout: float = 0.1,
    security_bits: int = 40,
    correctness_bits: int = 30,
) -> Density:
    """Find the smallest degree that keeps secrets and survives dropouts, and the threshold.

    Parameters
    ----------
    clients : int
        How many there are, at least 1.
    corrupt : float
        The largest share of them that is corrupt, from 0 to below 1.
    dropout : float
        The largest share of them that vanishes, from 0 to below 1.
    security_bits : int
        What breaks secrecy (`Density.log2_secrecy` and `Density.log2_connectivity` together) has a
        chance of at most ``2**-security_bits``.
    correctness_bits : int
        What ends a round without a sum has a chance of at most ``2**-correctness_bits``.

    Returns
    -------
    Density
        Of the sparse graph; of the complete one where no sparse graph suffices, which breaks and
        fails with no chance at all.

    Raises
    ------
    ValueError
        If an argument is out of range, or no threshold stands so many corrupt and lost clients:
        the complete graph does with ``(clients + corrupt) / 2 < clients - lost``.

    Notes
    -----
    With ``c`` corrupt clients among its ``degree`` neighbours, a client is safe if
    ``2 * threshold > degree + 1 + c``: the corrupt answer for both of its seeds, each honest one
    for one of them, and the client itself gives its own self seed. A server that calls clients lost
    as it likes, once it knows the ring, and shows different lists to different parts of it, cuts
    the ring in two where each of two rows of ``degree / 2`` places has
    ``threshold - 1 - degree / 2`` corrupt clients. Who is corrupt is fixed before the order on the
    ring is drawn, so that these numbers are hypergeometric, and a union bound over the clients, or
    their pairs, gives the chances, in exact integers. The chance that too many neighbours vanish is
    one of dropouts that do not depend on the ring. Those who vanish early make the corrupt a larger
    share of the graph: secrecy is reckoned with all of the lost gone, and all of the corrupt in.

    The seed of the ring depends on what every client advertises. A server can try ring after ring
    until one suits it, with new keys of a corrupt client or by leaving out others of the clients:
    every trial succeeds with the chances above. Ask for more `security_bits` where 2**40 trials are
    feared.

    Bell et al. 2020, section 3; complete graph: Bonawitz et al. 2017, section 6.2, whose threshold
    ``2 * clients // 3 + 1`` is taken where it stands what is asked for.

    Examples
    --------
    >>> chosen = choose_degree(1000)
    >>> chosen.degree, chosen.threshold
    (126, 88)
    >>> strict = choose_degree(10, corrupt=0.3, dropout=0.3)
    >>> strict.degree, strict.threshold
    (9, 7)
    """
    if clients < 1:
        raise ValueError(f"clients: got {clients}, expected at least 1")
    for name, bits in {
        "security_bits": security_bits,
        "correctness_bits": correctness_bits,
    }.items():
        if bits < 1:
            raise ValueError(f"{name}: got {bits}, expected at least 1")
    crowd = Crowd.of(clients, corrupt=corrupt, dropout=dropout)
    return crowd.sparsest(security_bits, correctness_bits) or crowd.complete()


@dataclass(frozen=True)
class Crowd:
    """So many clients, of whom some are corrupt and some will vanish.

    Parameters
    ----------
    clients, corrupt, lost : int
        How many there are, and how many of them are or will be; anybody else is honest and stays.

    Examples
    --------
    >>> Crowd.of(1000, corrupt=0.1, dropout=0.05)
    Crowd(clients=1000, corrupt=100, lost=50)
    """

    clients: int
    corrupt: int
    lost: int

    @classmethod
    def of(cls, clients: int, *, corrupt: float, dropout: float) -> Self:
        """Return a crowd by shares, which are read as their decimals say, and rounded down."""
        return cls(clients, _part("corrupt", corrupt, clients), _part("dropout", dropout, clients))

    def assess(self, degree: int, threshold: int) -> Density:
        """Return what a graph and a threshold stand, in bounds for the chances that they do not."""
        if degree >= self.clients - 1:
            return self._assess_complete(threshold)
        too_many = max(0, 2 * threshold - degree - 1)  # corrupt neighbours of an honest client
        too_few = max(0, degree - threshold + 1)  # lost ones
        stuck = _tail(self.clients - 1, self.lost, degree, too_few)
        return Density(
            degree=degree,
            threshold=threshold,
            log2_secrecy=_log2(self.clients * self._exposing(degree, too_many)),
            log2_connectivity=_log2(self._cutting(degree, threshold)),
            log2_correctness=_log2(self.clients * stuck),
        )

    def sparsest(self, security_bits: int, correctness_bits: int) -> Density | None:
        """Return the smallest degree below the complete graph's that is enough, if there is one."""
        for degree in range(2, self.clients - 1, 2):
            threshold = self.lowest_threshold(degree, security_bits)
            if threshold is None:
                continue
            density = self.assess(degree, threshold)
            if density.log2_correctness <= -correctness_bits:
                return density
        return None

    def lowest_threshold(self, degree: int, security_bits: int) -> int | None:
        """Return the lowest threshold that keeps secrets, if there is one."""
        if degree >= self.clients - 1:
            return (self.clients + self.corrupt) // 2 + 1
        allowed = Fraction(1, 1 << security_bits)

        def keeps(threshold: int) -> bool:
            exposing = self.clients * self._exposing(degree, 2 * threshold - degree - 1)
            return exposing + self._cutting(degree, threshold) <= allowed

        thresholds = range(degree // 2 + 1, degree + 1)
        place = bisect_left(thresholds, True, key=keeps)  # both chances fall as it grows
        return thresholds[place] if place < len(thresholds) else None

    def complete(self) -> Density:
        """Return the complete graph, in which nothing is left to chance.

        Raises
        ------
        ValueError
            When no threshold stands so many corrupt and lost clients.
        """
        least = (self.clients + self.corrupt) // 2 + 1
        usual = 2 * self.clients // 3 + 1
        most = self.clients - self.lost
        threshold = usual if least <= usual <= most else least
        if threshold > most:
            raise ValueError(
                f"corrupt, dropout: got {self.corrupt} and {self.lost} of {self.clients} clients, "
                f"expected at most {max(0, self.clients - least)} to vanish beside so many "
                "corrupt; invite more clients or assume fewer"
            )
        return self._assess_complete(threshold)

    def _assess_complete(self, threshold: int) -> Density:
        safe = 2 * threshold > self.clients + self.corrupt
        stays = threshold <= self.clients - self.lost
        return Density(
            degree=self.clients - 1,
            threshold=threshold,
            log2_secrecy=-math.inf if safe else 0.0,
            log2_connectivity=-math.inf,
            log2_correctness=-math.inf if stays else 0.0,
        )

    def _exposing(self, degree: int, least: int) -> Fraction:
        """Return the chance that a client has so many corrupt neighbours when the lost are gone."""
        return self._holding(self.clients - self.lost - 1, degree, least)

    def _cutting(self, degree: int, threshold: int) -> Fraction:
        """Bound the chance that a server that calls clients lost at will can cut the ring in two.

        A cut is ``degree / 2`` places in a row without an honest client who stays. Beyond each of
        its ends a client finds only ``degree / 2`` neighbours, and where an honest one within is
        called lost, its mask key takes `threshold` shares, of which ``degree / 2 + 1`` lie outside:
        either way ``threshold - 1 - degree / 2`` places of a cut are corrupt. It takes two cuts.
        """
        least = max(0, 2 * threshold - degree - 2)
        pairs = math.comb(self.clients, 2)
        return pairs * self._holding(self.clients - self.lost, degree, least)

    def _holding(self, population: int, drawn: int, least: int) -> Fraction:
        """Return the chance to draw so many of the corrupt from those who stay."""
        if population <= max(drawn, self.corrupt):  # they may all be drawn
            return Fraction(least <= self.corrupt)
        return _tail(population, self.corrupt, drawn, least)


def _tail(population: int, marked: int, drawn: int, least: int) -> Fraction:
    """Return the chance to draw at least so many of the marked, without replacement."""
    tails = _tails(population, marked, drawn)
    return tails[least] if least < len(tails) else Fraction(0)


@lru_cache(maxsize=64)
def _tails(population: int, marked: int, drawn: int) -> tuple[Fraction, ...]:
    """Return the chances to draw at least 0, 1, ... of the marked, without replacement."""
    total = math.comb(population, drawn)
    tails, rest = [], total
    for many in range(min(marked, drawn) + 1):
        tails.append(Fraction(rest, total))
        rest -= math.comb(marked, many) * math.comb(population - marked, drawn - many)
    return tuple(tails)


def _part(name: str, share: float, clients: int) -> int:
    """Return how many clients a share of them is, as its decimal notation says it."""
    if not 0 <= share < 1:
        raise ValueError(f"{name}: got {share}, expected 0 to below 1")
    return math.floor(Fraction(repr(float(share))) * clients)


def _log2(chance: Fraction) -> float:
    """Return a logarithm that is not below the true one."""
    if not chance:
        return -math.inf
    if chance >= 1:
        return 0.0
    return math.log2(chance.numerator) - math.log2(chance.denominator) + _LOG_ERROR


def require_degree(clients: int, degree: int) -> None:
    """Refuse a degree that no graph of so many clients has.

    Raises
    ------
    ValueError
        If it is below 1, or odd where the graph is not complete.
    """
    if degree < min(1, clients - 1) or (degree % 2 and degree < clients - 1):
        raise ValueError(
            f"degree: got {degree}, expected an even number of neighbours, or all "
            f"{clients - 1} others"
        )


def _shuffled(clients: int, seed: bytes) -> NDArray[np.int64]:
    """Return all ranks in the order of random 64-bit words, one a rank; ties keep theirs."""
    stream = Cipher(algorithms.AES(seed), modes.CTR(bytes(_COUNTER_BYTES))).encryptor()
    words = np.frombuffer(stream.update(bytes(8 * clients)), "<u8")
    return np.argsort(words, kind="stable")
