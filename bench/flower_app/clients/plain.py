"""A client that sends its model to the server as it is."""

from flower_app.clients.federated import client_app

app = client_app()
