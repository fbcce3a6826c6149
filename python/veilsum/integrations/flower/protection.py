"""The one object that a ServerApp and its ClientApps share: what is protected, and how."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from flwr.app import Context, Message, RecordDict
from numpy.typing import NDArray

from veilsum.encoding import FixedPoint
from veilsum.integrations.flower import averaging
from veilsum.integrations.flower.folders import Folder, server_folder
from veilsum.integrations.flower.node import answer
from veilsum.protocols import Aggregate, WeightedMean

if TYPE_CHECKING:
    from flwr.serverapp import Grid

    from veilsum.integrations.flower.grid import ProtectedGrid

__all__ = ["Protection"]


@dataclass(frozen=True, kw_only=True)
class Protection:
    """Lets an unmodified strategy of Flower train on sums that nobody sees in parts.

    Put its `mod` among the mods of the ClientApp, and hand the strategy its `grid`. Train messages
    are then answered under the protocol: the strategy gets one reply, the weighted mean of the
    survivors', and an error for each node that was lost. So it has to be a strategy that uses the
    mean alone, as FedAvg, FedAvgM, FedAdam, FedAdagrad, FedYogi and FedProx do; one that compares
    single updates, as Krum and FedMedian do, sees the mean as if it were the only one. Messages of
    other kinds, such as evaluation, pass untouched; what a node answers to these is in the open.

    What is opened in each round, to the ServerApp, is the survivors' mean update, the sum of their
    weights and the means of the metrics that are named here; other metrics stay on the node.

    Parameters
    ----------
    protocol : {"masking", "sharing", "paillier", "threshold_paillier", "plain"}
        What protects the updates.
    options : mapping of str to object
        Options of the protocol's class, such as ``{"min_survivors": 3}``. A node takes part in no
        session with less than its own.
    mean : WeightedMean
        Scale, bound, clip and rounding of an update: the trained arrays less those that were sent.
        By default 20 fraction bits, at most 32 in magnitude, and weights up to 2^20. Where scale,
        bound, largest weight and number of clients multiply to less than 2^31, masking sends words
        of 32 bits, half of what it does else.
    metrics : tuple of str
        Names of the metrics of a training whose weighted means are opened; each a number within
        the bound of `mean`. None by default.
    weighted_by : str
        The metric that is a node's weight, an integer, as the strategy's own option.
    ahead : int
        How many rounds are prepared at once, where the protocol can be: under masking a round takes
        three requests to a node, and two more each time that rounds are prepared. At most 255.
    patience : float
        Seconds until a node that does not answer counts as lost, where it does not train; while
        it trains the strategy's timeout counts.

    Examples
    --------
    >>> Protection(options={"min_survivors": 3}, metrics=("train_loss",)).protocol
    'masking'
    """

    fewest: ClassVar[int] = 2
    """How few clients' sum a node helps to open, unless its options say so: one's is its update."""

    protocol: str = "masking"
    options: Mapping[str, Any] = field(default_factory=dict)
    mean: WeightedMean = field(
        default_factory=lambda: WeightedMean(encoding=FixedPoint.binary(20, bound=32.0))
    )
    metrics: tuple[str, ...] = ()
    weighted_by: str = "num-examples"
    ahead: int = 8
    patience: float = 60.0

    def __post_init__(self) -> None:
        if isinstance(self.metrics, str):
            raise TypeError("metrics: got a str, expected a tuple of names")
        if self.weighted_by in self.metrics:
            raise ValueError(
                f"metrics: {self.weighted_by!r} is the weight, whose sum is opened anyway; leave "
                "it out"
            )
        if not 1 <= self.ahead <= 255:
            raise ValueError(f"ahead: got {self.ahead}, expected 1 to 255 rounds")
        if not self.patience > 0:
            raise ValueError(f"patience: got {self.patience}, expected seconds above 0")

    def mod(
        self, message: Message, context: Context, call_next: Callable[[Message, Context], Message]
    ) -> Message:
        """Answer for a node: a mod of its ClientApp."""
        return answer(self, message, context, call_next)

    def grid(self, grid: Grid, context: Context) -> ProtectedGrid:
        """Return the grid for the strategy of a ServerApp.

        Parameters
        ----------
        grid : Grid
            Flower's own.
        context : Context
            The ServerApp's; its setting ``veilsum-folders`` names the folder in which the server's
            folder lies.
        """
        # Here, because a node starts a process for each message, and never needs it.
        from veilsum.integrations.flower.grid import ProtectedGrid

        folder = Folder.open(server_folder(context.run_config))
        return ProtectedGrid(grid, self, folder, run_config=context.run_config)

    # What follows says how records become vectors and back; a subclass may have records of its own.

    def encoding_of(self, content: RecordDict) -> FixedPoint:  # noqa: ARG002
        """Return how a contribution is written."""
        return self.mean.whole

    def digest_of(self, message: Message, run_config: Mapping[str, Any]) -> bytes:
        """Return what stands for all that a node trains on, and how: 32 bytes."""
        terms = self.mean, self.metrics, self.weighted_by
        return averaging.digest_of(message, run_config, *terms)

    def length_of(self, content: RecordDict) -> int:
        """Return the coordinates of a contribution."""
        return averaging.length_of(content, self.metrics)

    def contribution(self, content: RecordDict, reply: RecordDict) -> NDArray[Any]:
        """Return what a node adds to the sum, of what it was sent and what its training replies."""
        return averaging.contribution(content, reply, **self._terms)

    def reply(self, content: RecordDict, aggregate: Aggregate) -> RecordDict:
        """Return the one reply that the strategy gets."""
        return averaging.mean_reply(content, aggregate, **self._terms)

    @property
    def _terms(self) -> dict[str, Any]:
        return {
            "mean": self.mean,
            "metrics": self.metrics,
            "weighted_by": self.weighted_by,
        }
