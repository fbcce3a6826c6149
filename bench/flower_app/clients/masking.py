"""A client whose model veilsum hides under pairwise masks."""

from flower_app.clients.federated import client_app
from flower_app.protections import MASKING

app = client_app(MASKING.mod)
