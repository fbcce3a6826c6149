"""Federated learning on NumPy alone, over any aggregator of `veilsum.protocols`."""

from veilsum.learning.linear import FederatedLinearRegression
from veilsum.learning.meta import FederatedMetaLearner

__all__ = ["FederatedLinearRegression", "FederatedMetaLearner"]
