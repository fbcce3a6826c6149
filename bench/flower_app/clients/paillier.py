"""A client whose model veilsum hides under the key of a sixth node."""

from flower_app.clients.federated import client_app
from flower_app.protections import PAILLIER

app = client_app(PAILLIER.mod)
