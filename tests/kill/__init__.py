"""A run that is killed at any moment ends, when the same command is given again, as if nothing had happened."""
