"""What the nodes run, one way a module: Flower starts a process for every message."""
