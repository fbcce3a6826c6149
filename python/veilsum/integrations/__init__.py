"""Adapters to other packages, one a module."""
