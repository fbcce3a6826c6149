"""Flower's engine under veilsum's protocols: a mod for ClientApps, a grid for ServerApps.

Needs Flower: ``pip install 'veilsum[flower]'``. What lies in `veilsum.integrations.flower.folders`
works without it.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from veilsum.integrations.flower.engine import FlowerEngine
    from veilsum.integrations.flower.grid import ProtectedGrid, ProtectedRound
    from veilsum.integrations.flower.protection import Protection

__all__ = ["FlowerEngine", "ProtectedGrid", "ProtectedRound", "Protection"]


def __getattr__(name: str) -> Any:
    """Import what needs Flower when it is asked for."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name == "FlowerEngine":
        from veilsum.integrations.flower.engine import FlowerEngine

        return FlowerEngine
    try:
        from veilsum.integrations.flower import grid, protection
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] != "flwr":
            raise
        raise ImportError(f"{name} needs Flower: pip install 'veilsum[flower]'") from error
    return getattr(protection if name == "Protection" else grid, name)
