"""The MCP door: the gateway as tools for language models (clients.md 9)."""
