"""What can be wrong with a login, an address or a password."""

from webapp.core.errors import DomainError


class InvalidEmail(DomainError):
    code = "email_invalid"

    def __init__(self, email: str) -> None:
        super().__init__(f"{email!r} is not an email address.")


class EmailTaken(DomainError):
    code = "email_taken"
    status = 409

    def __init__(self, email: str) -> None:
        super().__init__(f"There is already a login for {email}.")


class WeakPassword(DomainError):
    code = "password_weak"


class NoSuchUser(DomainError):
    code = "user_not_found"
    status = 404

    def __init__(self, email: str) -> None:
        super().__init__(f"There is no login for {email}.")
