"""Programs that cannot be installed here, by what their sources send and want back (clients.md 10)."""
