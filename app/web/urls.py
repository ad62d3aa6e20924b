"""Addresses of pages."""

from django.urls import path

from app.web.views import accounts, administration, conversation, exports, health, officer

urlpatterns = [
    path("healthz", health.alive, name="healthz"),
    path("", conversation.conversation),
    path("c/<uuid:conversation_id>", conversation.conversation),
    path("sign-in", accounts.sign_in),
    path("sign-out", accounts.sign_out),
    path("invitation/<str:code>", accounts.invitation),
    path("settings", accounts.settings),
    path("settings/name", accounts.rename),
    path("settings/password", accounts.change_password),
    path("settings/appearance", accounts.appearance),
    path("settings/sessions/<uuid:session_id>/end", accounts.end_session),
    path("people", administration.people),
    path("people/<uuid:person_id>", administration.people),
    path("people/<uuid:person_id>/role", administration.change_role),
    path("people/<uuid:person_id>/disable", administration.disable),
    path("people/<uuid:person_id>/enable", administration.enable),
    path("invitations", administration.invitations),
    path("invitations/<uuid:invitation_id>/revoke", administration.revoke_invitation),
    path("trail", officer.trail),
    path("exports", exports.exports),
    path("exports/new", exports.ask),
    path("exports/<uuid:export_id>", exports.export),
    path("exports/<uuid:export_id>/approve", exports.decide, {"decision": "approve"}),
    path("exports/<uuid:export_id>/refuse", exports.decide, {"decision": "refuse"}),
    path("exports/<uuid:export_id>/withdraw", exports.decide, {"decision": "withdraw"}),
    path("exports/<uuid:export_id>/download", exports.download),
]
