"""Tests of the browser side that need no browser."""
