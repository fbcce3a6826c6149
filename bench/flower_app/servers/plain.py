"""A server that sees every client's model."""

from flower_app.servers.federated import ROUNDING, server_app

app = server_app(tolerance=ROUNDING)
