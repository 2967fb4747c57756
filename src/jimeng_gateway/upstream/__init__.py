"""The site: a pure wire format, and one thin client that carries it."""
