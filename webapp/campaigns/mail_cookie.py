"""The cookie that remembers which mail led a browser here, for as long as an order is owed to it.

Its code is that of the mail's own links and opens nothing: whoever has it has the mail.
"""

from flask import request
from werkzeug.wrappers import Response

from webapp.campaigns.codes import CODE_LENGTH, read_code
from webapp.core.state import current_config, current_fork

KEEP_SECONDS = 5 * 24 * 3600


def mail_cookie_name() -> str:
    return current_fork().cookie_name("mail", secure=current_config().secure)


def read_mail_code() -> str | None:
    """Return the code of the mail whose link brought this browser here in the last five days."""
    code = request.cookies.get(mail_cookie_name(), "")
    return code if len(code) == CODE_LENGTH and read_code(code) else None


def keep_mail_code(response: Response, code: str) -> None:
    """Remember the mail for five days from now."""
    response.set_cookie(
        mail_cookie_name(),
        code,
        max_age=KEEP_SECONDS,
        httponly=True,
        secure=current_config().secure,
        samesite="Lax",
    )
