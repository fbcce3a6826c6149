"""Help for users who test code built on veilsum; needs hypothesis (the extra ``test``).

`strategies` are for property tests of code that shares and sums, `aggregator_machine` plays whole
sessions of a protocol of one's own and looks for what must not happen, and `attacks` tries the
attacks that every protocol has to refuse.
"""

from veilsum.testing import strategies
from veilsum.testing.attacks import Attempts, attacks
from veilsum.testing.machines import AggregatorMachine, aggregator_machine

__all__ = ["AggregatorMachine", "Attempts", "aggregator_machine", "attacks", "strategies"]
