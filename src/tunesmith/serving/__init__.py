"""Finished models over HTTP: predictions, feedback, a page to try them. The libraries come with the extra `serve`."""
