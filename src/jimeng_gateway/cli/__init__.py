"""The command line: another face of the gateway beside HTTP, and the operator's tools on the machine itself.

Commands that talk to a gateway use its HTTP API like any other client; only `serve`, `migrate`, `doctor`
and a `key create` without a key touch the machine. Everything heavy is imported inside the commands, so that
`--help` and `--version` answer at once.
"""
