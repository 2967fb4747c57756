"""The site's wire format as pure functions: requests from values, values from replies."""
