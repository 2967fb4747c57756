"""jimeng-gateway: an operator's own Jimeng accounts as a dependable image and video API."""

__version__ = "0.1.0"
