"""Sum what nobody may see: Paillier, secret sharing, secure aggregation, federated learning.

Each part is a submodule, imported on its own: ``from veilsum import paillier, shamir, field``.
"""

__version__: str
__all__ = ["__version__"]


def __getattr__(name: str) -> str:
    """Return the installed version, which takes a while to look up."""
    if name != "__version__":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib.metadata import version

    return version("veilsum")
