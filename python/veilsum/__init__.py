"""Sum what nobody may see: Paillier, secret sharing, secure aggregation, federated learning.

Each part is a submodule, imported on its own: ``from veilsum import paillier, shamir, field``.
"""

from importlib.metadata import version

__version__ = version("veilsum")
__all__ = ["__version__"]
