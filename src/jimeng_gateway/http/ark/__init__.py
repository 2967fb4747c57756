"""The Ark door: what programs for Volcengine Ark and BytePlus ModelArk say, translated (ark.md)."""
