"""Tests in a real browser. A package, since other folders have files of the same names."""
