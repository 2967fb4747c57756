"""A real Chromium in which the site's own script signs submits; see docs/signer.md."""
