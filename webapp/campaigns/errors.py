"""What can be wrong with an advertisement, or with what a browser reports."""

from webapp.core.errors import DomainError, NotFound


class UnreadableEvents(DomainError):
    code = "events_unreadable"
    status = 422

    def __init__(self) -> None:
        super().__init__("These events are not of the kind this shop records.")


class NoSuchAd(NotFound):
    code = "ad_not_found"

    def __init__(self) -> None:
        super().__init__("There is no such advertisement.")


class InvalidAd(DomainError):
    code = "ad_invalid"


class AdCodeTaken(DomainError):
    code = "ad_code_taken"
    status = 409

    def __init__(self, code: str) -> None:
        super().__init__(f"There is an advertisement with the code {code!r} already.")
