"""Pages for coming in and for oneself: sign in, accept an invitation, settings."""

from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST

from app.accounts import access, browser, services
from app.accounts.identity import identity_of, session_of
from app.accounts.models import SessionKind, User
from app.errors import DomainError, Invalid, RateLimited, Unauthenticated
from app.web.devices import described
from app.web.english import with_article
from app.web.forms import JoinForm, NameForm, PasswordForm, SignInForm
from app.web.views.page import page, public

THEMES = {"auto": "As the device", "light": "Light", "dark": "Dark"}
_A_YEAR = 31_536_000


@sensitive_post_parameters("password")
@require_http_methods(["GET", "HEAD", "POST"])
@public
def sign_in(request: HttpRequest) -> HttpResponse:
    onward = _onward(request)
    if request.method != "POST":
        if identity_of(request).session is not None:
            return HttpResponseRedirect(onward)
        return _sign_in_page(request, SignInForm(), onward, 200)
    form = SignInForm(request.POST)
    if not form.is_valid():
        return _sign_in_page(request, form, onward, 400)
    try:
        _let_in(request, form.cleaned_data["email"], form.cleaned_data["password"])
    except (Unauthenticated, RateLimited) as error:
        form.refuse(_told(error))
        response = _sign_in_page(request, form, onward, error.status)
        if isinstance(error, RateLimited):
            response["Retry-After"] = str(error.retry_after)
        return response
    return HttpResponseRedirect(onward)


@require_POST
@public
def sign_out(request: HttpRequest) -> HttpResponse:
    session = identity_of(request).session
    if session is not None:
        services.sign_out(session=session)
    response = HttpResponseRedirect("/sign-in")
    browser.close_in(request, response)
    return response


@sensitive_post_parameters("password")
@require_http_methods(["GET", "HEAD", "POST"])
@public
def invitation(request: HttpRequest, code: str) -> HttpResponse:
    found = access.invitation_with(code)
    shown = {"organization": found.organization, "role": with_article(found.role)}
    form = JoinForm(request.POST if request.method == "POST" else None)
    if not form.is_valid():
        status = 400 if form.is_bound else 200
        return render(request, "web/invitation.html", shown | {"form": form}, status=status)
    try:
        services.register(code=code, **form.cleaned_data)
    except Invalid as error:
        form.blame(error, "email")
        return render(request, "web/invitation.html", shown | {"form": form}, status=400)
    _let_in(request, form.cleaned_data["email"], form.cleaned_data["password"])
    return HttpResponseRedirect("/")


@page()
def settings(request: HttpRequest, user: User) -> HttpResponse:
    return _settings_page(request, user)


@require_POST
@page()
def rename(request: HttpRequest, user: User) -> HttpResponse:
    form = NameForm(request.POST)
    if form.is_valid():
        try:
            services.rename(user=user, display_name=form.cleaned_data["display_name"])
        except Invalid as error:
            form.blame(error, "display_name")
        else:
            messages.success(request, "Your name was changed.")
            return HttpResponseRedirect("/settings")
    return _settings_page(request, user, name_form=form)


@sensitive_post_parameters("current", "new")
@require_POST
@page()
def change_password(request: HttpRequest, user: User) -> HttpResponse:
    form = PasswordForm(request.POST)
    if form.is_valid():
        try:
            changed = services.change_password(session=session_of(request), **form.cleaned_data)
        except (Invalid, RateLimited) as error:
            form.blame(error, "current")
        else:
            browser.keep_after_password_change(request, changed)
            messages.success(
                request, "Your password was changed. You were signed out everywhere else."
            )
            return HttpResponseRedirect("/settings")
    return _settings_page(request, user, password_form=form)


@require_POST
@page()
def end_session(request: HttpRequest, user: User, session_id: UUID) -> HttpResponse:
    services.end_session(user=user, session_id=session_id)
    messages.success(request, "Signed out there.")
    return HttpResponseRedirect("/settings#devices")


@require_POST
@page()
def appearance(request: HttpRequest, user: User) -> HttpResponse:
    """The same cookie that js/page.js sets at once, for browsers without scripts."""
    theme = request.POST.get("theme", "")
    response = HttpResponseRedirect("/settings#appearance")
    response.set_cookie(
        "theme",
        theme if theme in THEMES else "auto",
        max_age=_A_YEAR,
        secure=request.is_secure(),
        samesite="Lax",
    )
    return response


def _let_in(request: HttpRequest, email: str, password: str) -> None:
    session = services.sign_in(email=email, password=password, kind=SessionKind.BROWSER)
    replaced = identity_of(request).session
    if replaced is not None:
        services.sign_out(session=replaced)
    browser.open_in(request, session)


def _onward(request: HttpRequest) -> str:
    """Where to go after signing in: a path of ours, or the conversations."""
    wanted = request.POST.get("next") or request.GET.get("next") or "/"
    # With no allowed host, only paths without a host pass.
    return wanted if url_has_allowed_host_and_scheme(wanted, allowed_hosts=None) else "/"


def _told(error: DomainError) -> str:
    if isinstance(error, RateLimited):
        return f"Too many attempts. Try again in {error.retry_after} seconds."
    return error.message


def _sign_in_page(request: HttpRequest, form: SignInForm, onward: str, status: int) -> HttpResponse:
    shown = {"form": form, "next": onward if onward != "/" else ""}
    return render(request, "web/sign_in.html", shown, status=status)


def _settings_page(
    request: HttpRequest,
    user: User,
    name_form: NameForm | None = None,
    password_form: PasswordForm | None = None,
) -> HttpResponse:
    current = session_of(request)
    theme = request.COOKIES.get("theme", "auto")
    shown = {
        "person": user,
        "name_form": name_form or NameForm(initial={"display_name": user.display_name}),
        "password_form": password_form or PasswordForm(),
        "devices": [
            {"session": session, "here": session.pk == current.pk, **described(session)}
            for session in access.sessions(user)
        ],
        "themes": THEMES.items(),
        "theme": theme if theme in THEMES else "auto",
    }
    refused = any(form is not None for form in (name_form, password_form))
    return render(request, "web/settings.html", shown, status=400 if refused else 200)
