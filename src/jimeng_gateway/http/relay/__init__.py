"""The pair of routes that relays of the new-api family offer for videos."""
