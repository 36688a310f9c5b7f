"""What somebody sees who has tried too often."""

from flask import Response, current_app, make_response, render_template, request
from flask_limiter import RateLimitExceeded
from werkzeug.exceptions import TooManyRequests

from webapp.accounts.forms.entering import LoginForm
from webapp.accounts.views.blueprint import blueprint
from webapp.core.limits import retry_after


@blueprint.errorhandler(RateLimitExceeded)
def too_many_tries(_error: RateLimitExceeded) -> Response:
    """Say how long to wait, on the page and in Retry-After (RFC 9110, section 10.2.3)."""
    seconds = retry_after()
    wants = request.accept_mimetypes
    if wants.accept_json and not wants.accept_html:
        answer = current_app.handle_http_exception(TooManyRequests(retry_after=seconds))
        return make_response(answer)
    return make_response(_page(seconds), 429, {"Retry-After": str(seconds)})


def _page(seconds: int) -> str:
    minutes = -(-seconds // 60)
    wait = "a minute" if minutes == 1 else f"{minutes} minutes"
    if request.endpoint != "accounts.login":
        return render_template("errors/429.html", message=f"Wait {wait}, then try again.")
    form = LoginForm()
    form.form_errors = [f"Too many tries to log in. Wait {wait}, then try again."]
    return render_template("accounts/login.html", form=form)
