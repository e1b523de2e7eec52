"""What can be wrong with a model that is to be sent: it is not the one that was announced."""

from pqtransfer.errors import InputError, IntegrityError


class SourceSizeError(InputError):
    """The source has another size than was announced."""

    def __init__(self, uri: str, *, expected_bytes: int, found_bytes: int) -> None:
        relation = "smaller" if found_bytes < expected_bytes else "larger"
        super().__init__(
            f"{uri} has {found_bytes} bytes, {relation} than the {expected_bytes} that were announced; "
            "submit it again with its true size, once it is final"
        )


class SourceDigestError(IntegrityError):
    """The source has another SHA-256 than was announced."""

    def __init__(self, uri: str) -> None:
        super().__init__(f"the SHA-256 of {uri} is not the one that was announced; check the source, submit it again")
