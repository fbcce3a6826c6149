"""What protects the rounds of veilsum; the same on both sides."""

from veilsum.encoding import FixedPoint
from veilsum.integrations.flower import Protection
from veilsum.protocols import WeightedMean

# What Flower's SecAgg+ takes by default, 2^22 steps from -8 to 8, with weights of 1.
MEAN = WeightedMean(encoding=FixedPoint.binary(18, bound=8.0), max_weight=1)

MASKING = Protection(protocol="masking", mean=MEAN)
PAILLIER = Protection(protocol="paillier", mean=MEAN)
