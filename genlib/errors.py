"""The one kind of error a visitor may see: a sentence that names the input and the remedy."""


class GenlibError(Exception):
    """Bad input or a broken resource. Its text is a full sentence for people; the CLI and the pages print it as it is."""
