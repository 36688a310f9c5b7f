"""Email addresses as logins: one spelling for each, and none that only looks like another."""

from email_validator import EmailNotValidError, validate_email

from webapp.accounts.errors import InvalidEmail


def read_email(text: str) -> str:
    """Return the address as it is stored: normalized, lower-case. Raises InvalidEmail.

    Names before the @ are ASCII: a Cyrillic letter that looks like a Latin one would make two
    people look alike, and case-folding such letters has led mails astray elsewhere. A domain in
    other letters is kept in its ASCII form, which looks like nobody else's.
    """
    try:
        found = validate_email(
            text.strip(), check_deliverability=False, test_environment=True, allow_smtputf8=False
        )
    except EmailNotValidError:
        raise InvalidEmail(text) from None
    return (found.ascii_email or found.normalized).lower()
