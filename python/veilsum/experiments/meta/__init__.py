"""Federated meta-learning under every protocol, beside centralised and untrained networks."""
