"""One round of protected averaging, whose sum is told."""
