"""Federated learning on NumPy alone, over any aggregator of `veilsum.protocols`."""

from veilsum.learning.linear import FederatedLinearRegression

__all__ = ["FederatedLinearRegression"]
