"""What can be wrong with a login, an address or a password."""

from webapp.core.errors import DomainError, NotFound


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


class NoSuchTerms(NotFound):
    code = "terms_not_found"

    def __init__(self) -> None:
        super().__init__("There is no such version of the terms.")


class TermsPublished(DomainError):
    code = "terms_published"
    status = 409

    def __init__(self, version: str) -> None:
        super().__init__(
            f"Version {version} is published and never changes: people have agreed to it. "
            "Write a new version."
        )


class TermsVersionTaken(DomainError):
    code = "terms_version_taken"
    status = 409

    def __init__(self, version: str) -> None:
        super().__init__(f"There is a version {version!r} already. Choose another name.")


class InvalidTerms(DomainError):
    code = "terms_invalid"


class NoSuchAddress(NotFound):
    code = "address_not_found"

    def __init__(self) -> None:
        super().__init__("This address is not there (any more).")


class TooManyAddresses(DomainError):
    code = "addresses_full"
    status = 409

    def __init__(self, most: int) -> None:
        super().__init__(f"You can keep {most} addresses. Remove one to add another.")


class AddressNotVerified(DomainError):
    code = "email_not_verified"
    status = 403

    def __init__(self) -> None:
        super().__init__("Verify your email address first: the link is in the mail we sent you.")


class AddressTaken(DomainError):
    """Told only to somebody who has shown the mailbox of that address."""

    code = "address_taken"
    status = 409

    def __init__(self) -> None:
        super().__init__(
            "This address belongs to another account already. Log in to that one, or ask for a"
            " new password for it."
        )


class LinkUsed(DomainError):
    """A link that did what it was for, or was called off."""

    code = "link_used"
    status = 410


class WrongPassword(DomainError):
    code = "password_wrong"

    def __init__(self) -> None:
        super().__init__("That is not your current password.")


class SameEmail(DomainError):
    code = "email_same"

    def __init__(self) -> None:
        super().__init__("That is your address already.")


class ProviderUnavailable(DomainError):
    """``reason`` is for the log: it names what failed and holds nothing personal."""

    code = "provider_unavailable"
    status = 503

    def __init__(self, title: str, reason: str = "") -> None:
        super().__init__(f"{title} doesn't answer just now. Try again, or use another way in.")
        self.reason = reason


class SignInRefused(DomainError):
    """What a provider says does not open the door. ``reason`` is for the log."""

    code = "sign_in_refused"
    status = 403

    def __init__(self, title: str, reason: str, sentence: str | None = None) -> None:
        super().__init__(
            sentence or f"{title}'s answer didn't pass our checks. Nobody was signed in: try again."
        )
        self.reason = reason


class AccountExists(SignInRefused):
    """The address belongs to somebody here who has not linked this identity: only they may."""

    code = "account_exists"
    status = 409

    def __init__(self, title: str, email: str) -> None:
        super().__init__(
            title,
            "account exists",
            f"There is already an account for {email}. Sign in the way you did before, then link "
            f"{title} on the security page of your account.",
        )


class IdentityTaken(DomainError):
    code = "identity_taken"
    status = 409

    def __init__(self, title: str) -> None:
        super().__init__(f"This {title} account already opens another account here.")


class IdentityAlreadyLinked(DomainError):
    code = "identity_already_linked"
    status = 409

    def __init__(self, title: str) -> None:
        super().__init__(f"Another {title} account is linked already. Unlink that one first.")


class WrongCode(DomainError):
    code = "code_wrong"
    status = 401

    def __init__(self) -> None:
        super().__init__(
            "That code is not right, or was used before. Wait for the next one and try again."
        )


class SecondFactorThere(DomainError):
    code = "totp_there"
    status = 409

    def __init__(self) -> None:
        super().__init__("There is an authenticator app already. Remove it to set up another.")


class SecondFactorNeeded(DomainError):
    code = "second_factor_needed"
    status = 409

    def __init__(self) -> None:
        super().__init__(
            "This shop asks its staff for a second factor, and this is your last one. Add another "
            "before you remove it."
        )


class LastWayIn(DomainError):
    code = "last_way_in"
    status = 409

    def __init__(self) -> None:
        super().__init__(
            "This is the last way into your account. Set a password or add a passkey first."
        )


class PasskeyRefused(DomainError):
    """``sentence`` says no more than the person can use; why exactly is for the log."""

    code = "passkey_refused"
    status = 401

    def __init__(self) -> None:
        super().__init__("That passkey could not be used here. Try again, or choose another way.")


class PasskeyExpired(DomainError):
    code = "passkey_expired"
    status = 401

    def __init__(self) -> None:
        super().__init__("That took too long. Please try again.")


class PasskeyTaken(DomainError):
    code = "passkey_taken"
    status = 409

    def __init__(self) -> None:
        super().__init__("This passkey has been added already.")


class TooManyPasskeys(DomainError):
    code = "passkeys_full"
    status = 409

    def __init__(self, most: int) -> None:
        super().__init__(f"You can keep {most} passkeys. Remove one to add another.")


class NoSuchPasskey(NotFound):
    code = "passkey_not_found"

    def __init__(self) -> None:
        super().__init__("This passkey is not there (any more).")


class NoSuchMessage(NotFound):
    code = "message_not_found"

    def __init__(self) -> None:
        super().__init__("There is no such message.")


class MessageHandled(DomainError):
    code = "message_handled"
    status = 409

    def __init__(self, state: str) -> None:
        super().__init__(f"This message is {state} already; somebody was quicker.")


class ExportUnderWay(DomainError):
    code = "export_under_way"
    status = 409

    def __init__(self) -> None:
        super().__init__("Your copy is being made already. We'll write when it is ready.")


class TooManyExports(DomainError):
    code = "exports_full"
    status = 429

    def __init__(self, most: int) -> None:
        super().__init__(f"You can have {most} copies a day. Ask again tomorrow.")


class NoSuchExport(NotFound):
    code = "export_not_found"

    def __init__(self) -> None:
        super().__init__("There is no such copy in this account. Log in to the one that asked.")


class StaffMayNotClose(DomainError):
    code = "staff_may_not_close"
    status = 409

    def __init__(self) -> None:
        super().__init__(
            "You work here: hand your role over to somebody first, then close the account."
        )


class ErasureBegun(DomainError):
    code = "erasure_begun"
    status = 410

    def __init__(self) -> None:
        super().__init__("The account is being erased already. You can open a new one.")
