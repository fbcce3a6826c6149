"""What the server runs, one way a module."""
