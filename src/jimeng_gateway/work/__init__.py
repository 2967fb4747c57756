"""The half that does the work: claims what is due, talks to the site, records what came of it."""
