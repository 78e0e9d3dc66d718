"""Bit streams: pictures to bytes and back, by what a model expects of them."""
