"""The protections of both sides, by their protocol."""

from veilsum.integrations.flower import Protection
from veilsum_check.training import MEAN

PROTECTIONS = {
    protocol: Protection(protocol=protocol, mean=MEAN, ahead=1)
    for protocol in ("masking", "paillier")
}
