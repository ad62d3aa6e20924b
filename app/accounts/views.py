"""REST for people, sessions and invitations: parse, one service call, respond."""

from datetime import timedelta
from typing import Any
from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from app.accounts import access, browser, serializers, services
from app.accounts.identity import session_of, user_of
from app.accounts.models import Role, SessionKind, User
from app.accounts.permissions import Permission, allows
from app.accounts.rest import parsed
from app.accounts.schema import answers
from app.realtime.services import TICKET_SECONDS, issue_ticket


class PublicView(APIView):
    """For those who are not signed in yet; cookies are not looked at, so CSRF has no hold."""

    authentication_classes = []
    permission_classes = [AllowAny]


class TokenView(PublicView):
    @extend_schema(
        operation_id="issue_tokens",
        request=serializers.SignInRequest,
        responses=answers({200: serializers.TokensAnswer}, 400, 401, 413, 415, 429),
    )
    def post(self, request: Request) -> Response:
        """Sign in to the API: access for 15 minutes, refresh for 7 days."""
        given = parsed(serializers.SignInRequest, request)
        pair = services.issue_tokens(email=given["email"], password=given["password"])
        return Response(serializers.TokensAnswer(pair).data)


class RefreshView(PublicView):
    @extend_schema(
        operation_id="refresh_tokens",
        request=serializers.RefreshRequest,
        responses=answers({200: serializers.TokensAnswer}, 400, 401, 413, 415, 429),
    )
    def post(self, request: Request) -> Response:
        """Exchange a refresh token, once. One that comes back ends the session for everybody."""
        pair = services.refresh(token=parsed(serializers.RefreshRequest, request)["refresh"])
        return Response(serializers.TokensAnswer(pair).data)


class SignOutView(APIView):
    @extend_schema(operation_id="sign_out", request=None, responses=answers({204: None}, 401, 403))
    def post(self, request: Request) -> Response:
        """End this session: its tokens, its cookie and its sockets."""
        session = session_of(request)
        services.sign_out(session=session)
        response = Response(status=204)
        if session.kind == SessionKind.BROWSER:
            browser.close_in(request._request, response)
        return response


class MeView(APIView):
    @extend_schema(operation_id="me", responses=answers({200: serializers.MeAnswer}, 401))
    def get(self, request: Request) -> Response:
        """Who I am, what I may do, and which session this is."""
        return Response(serializers.MeAnswer(session_of(request)).data)

    @extend_schema(
        operation_id="rename_me",
        request=serializers.ProfileRequest,
        responses=answers({200: serializers.MeAnswer}, 400, 401, 403, 413, 415),
    )
    def patch(self, request: Request) -> Response:
        """Change my name."""
        given = parsed(serializers.ProfileRequest, request)
        session = session_of(request)
        session.user = services.rename(user=session.user, display_name=given["display_name"])
        return Response(serializers.MeAnswer(session).data)


class PasswordView(APIView):
    @extend_schema(
        operation_id="change_password",
        request=serializers.PasswordRequest,
        responses=answers({204: None}, 400, 401, 403, 413, 415, 429),
    )
    def post(self, request: Request) -> Response:
        """Change my password; every other session of mine ends."""
        given = parsed(serializers.PasswordRequest, request)
        session = session_of(request)
        user = services.change_password(session=session, current=given["current"], new=given["new"])
        if session.kind == SessionKind.BROWSER:
            browser.keep_after_password_change(request._request, user)
        return Response(status=204)


class SessionsView(APIView):
    @extend_schema(
        operation_id="my_sessions", responses=answers({200: serializers.SessionsAnswer}, 401)
    )
    def get(self, request: Request) -> Response:
        """Where I am signed in."""
        found = {"sessions": access.sessions(user_of(request))}
        return Response(serializers.SessionsAnswer(found).data)


class SessionView(APIView):
    @extend_schema(operation_id="end_session", responses=answers({204: None}, 401, 403, 404))
    def delete(self, request: Request, session_id: UUID) -> Response:
        """Sign out there."""
        services.end_session(user=user_of(request), session_id=session_id)
        return Response(status=204)


class PeopleView(APIView):
    @extend_schema(
        operation_id="people", responses=answers({200: serializers.PeopleAnswer}, 401, 403)
    )
    def get(self, request: Request) -> Response:
        """Everybody in the organization; addresses for administrators only."""
        user = user_of(request)
        shown = [described(person, to=user) for person in access.people(user)]
        return Response({"people": shown})


class PersonView(APIView):
    @extend_schema(
        operation_id="change_person",
        request=serializers.PersonRequest,
        responses=answers(
            {200: serializers.ManagedPersonAnswer}, 400, 401, 403, 404, 409, 413, 415
        ),
    )
    def patch(self, request: Request, person_id: UUID) -> Response:
        """Give somebody another role, disable or enable them."""
        given = parsed(serializers.PersonRequest, request)
        user = user_of(request)
        person = services.change_person(
            by=user,
            person_id=person_id,
            role=Role(given["role"]) if "role" in given else None,
            active=given.get("is_active"),
        )
        return Response(described(person, to=user))


class InvitationsView(APIView):
    @extend_schema(
        operation_id="invitations",
        responses=answers({200: serializers.InvitationsAnswer}, 401, 403),
    )
    def get(self, request: Request) -> Response:
        """The organization's invitations, newest first."""
        found = {"invitations": access.invitations(user_of(request))}
        return Response(serializers.InvitationsAnswer(found).data)

    @extend_schema(
        operation_id="invite",
        request=serializers.InvitationRequest,
        responses=answers({201: serializers.NewInvitationAnswer}, 400, 401, 403, 413, 415),
    )
    def post(self, request: Request) -> Response:
        """Make an invitation. Its code is in this answer and nowhere else."""
        given = parsed(serializers.InvitationRequest, request)
        invitation, code = services.invite(
            by=user_of(request),
            role=Role(given["role"]),
            uses=given["uses"],
            lifetime=timedelta(hours=given["expires_in_hours"]),
            label=given["label"],
        )
        made = serializers.InvitationAnswer(invitation).data | {"code": code}
        return Response(made, status=201)


class InvitationView(APIView):
    @extend_schema(operation_id="revoke_invitation", responses=answers({204: None}, 401, 403, 404))
    def delete(self, request: Request, invitation_id: UUID) -> Response:
        """Withdraw an invitation."""
        services.revoke_invitation(by=user_of(request), invitation_id=invitation_id)
        return Response(status=204)


class AcceptView(PublicView):
    @extend_schema(
        operation_id="accept_invitation",
        request=serializers.AcceptRequest,
        responses=answers({201: serializers.PersonAnswer}, 400, 404, 413, 415, 429),
    )
    def post(self, request: Request) -> Response:
        """Join an organization by invitation; then sign in."""
        user = services.register(**parsed(serializers.AcceptRequest, request))
        return Response(serializers.PersonAnswer(user).data, status=201)


def described(person: User, *, to: User) -> Any:
    """A person as this asker may see them."""
    full = allows(to, Permission.PEOPLE_MANAGE)
    serializer = serializers.ManagedPersonAnswer if full else serializers.PersonAnswer
    return serializer(person).data


class TicketView(APIView):
    @extend_schema(
        operation_id="issue_ticket",
        request=None,
        responses=answers({201: serializers.TicketAnswer}, 400, 401, 403),
    )
    def post(self, request: Request) -> Response:
        """A ticket that opens one socket within seconds; see docs/protocol.md."""
        session = session_of(request)
        ticket = issue_ticket(
            user=session.user_id,
            organization=session.user.organization_id,
            session=session.pk,
            origin=request.headers.get("Origin", ""),
        )
        answer = serializers.TicketAnswer({"ticket": ticket, "expires_in": TICKET_SECONDS})
        return Response(answer.data, status=201)
