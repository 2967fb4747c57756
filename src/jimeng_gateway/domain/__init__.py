"""What the product is about, as values and pure functions: no clock, no loop, no socket."""
