"""A server that sees the sum of masked models, in which the masks cancel."""

from flower_app.protections import MASKING
from flower_app.servers.federated import ROUNDING, server_app

app = server_app(MASKING.grid, tolerance=ROUNDING)
