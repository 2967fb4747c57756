"""The doors of the gateway: HTTP in, calls of the Gateway facade out, and nothing decided in between."""
