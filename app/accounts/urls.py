"""REST addresses of people, sessions and invitations, below /api/."""

from django.urls import path

from app.accounts import views

urlpatterns = [
    path("auth/token", views.TokenView.as_view()),
    path("auth/token/refresh", views.RefreshView.as_view()),
    path("realtime/ticket", views.TicketView.as_view()),
    path("auth/sign-out", views.SignOutView.as_view()),
    path("me", views.MeView.as_view()),
    path("me/password", views.PasswordView.as_view()),
    path("me/sessions", views.SessionsView.as_view()),
    path("me/sessions/<uuid:session_id>", views.SessionView.as_view()),
    path("people", views.PeopleView.as_view()),
    path("people/<uuid:person_id>", views.PersonView.as_view()),
    path("invitations", views.InvitationsView.as_view()),
    path("invitations/accept", views.AcceptView.as_view()),
    path("invitations/<uuid:invitation_id>", views.InvitationView.as_view()),
]
