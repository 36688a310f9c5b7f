"""Errors a person can act on: each carries a code for machines and a sentence for people."""


class DomainError(Exception):
    """A rule of the business was not met; ``status`` is the HTTP answer it deserves."""

    code = "error"
    status = 400

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence)
        self.sentence = sentence


class NotFound(DomainError):
    code = "not_found"
    status = 404


class Forbidden(DomainError):
    code = "forbidden"
    status = 403


class ConfigError(DomainError):
    """The process must not start like this."""

    code = "config"
    status = 500


class InvalidForkName(DomainError):
    code = "fork_name_invalid"

    def __init__(self, name: str) -> None:
        super().__init__(
            f"{name!r} can't name a fork: use 2 to 48 lower-case letters, digits and "
            "underscores, beginning with a letter."
        )


class RetryLater(DomainError):
    """A job can't go on now, but may later: it is tried again after its back-off."""

    code = "retry_later"
    status = 503


class Unprocessable(DomainError):
    """A job can never succeed as it stands: it is parked for a person at once."""

    code = "unprocessable"
    status = 422
