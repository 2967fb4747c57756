"""The routes of the gateways that this one replaces, for the programs that were written for them."""
