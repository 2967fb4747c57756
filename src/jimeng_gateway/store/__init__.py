"""The durable half: one set of statements over SQLite and PostgreSQL."""
