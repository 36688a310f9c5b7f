"""What others may want to do when somebody logs in: sent within the login's transaction."""

from blinker import Namespace

_signals = Namespace()

# Sent with ``user`` (User): the storefront joins the visitor's cart with the member's.
logged_in = _signals.signal("logged-in")
# Sent with ``user`` before the session is gone: what belongs to the person leaves the browser.
logged_out = _signals.signal("logged-out")
# Sent with ``user`` and ``by`` (Actor) in the transaction in which an account is closed.
account_closed = _signals.signal("account-closed")
