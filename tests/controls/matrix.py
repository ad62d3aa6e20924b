"""What rules ask of such a system, and the tests that show it. docs/controls.md is made from this.

A control without a test is open, never met; where the tests show a part, `lacks` says what is
missing. The requirements are in our own words: read the rule itself before you rely on them.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Control:
    """`tests`: node ids as pytest takes them, without parameters."""

    id: str
    requirement: str
    tests: tuple[str, ...] = ()
    lacks: str = ""

    @property
    def status(self) -> str:
        if not self.tests:
            return "open"
        return "in part" if self.lacks else "shown"


_MATRIX = "tests/authorization/test_matrix.py::test_the_endpoint_refuses_whom_it_should"
_EVERY_ROUTE = "tests/authorization/test_matrix.py::test_every_endpoint_and_method_has_a_row"
_STOLEN = (
    "tests/attacks/test_stolen_database.py::test_a_stolen_database_redis_or_log_shows_no_content"
)
_DISABLED = "tests/accounts/test_sessions.py::test_disabling_somebody_ends_every_session_of_theirs"
_SOCKET = "tests/realtime/test_gateway.py::test_a_socket_closes_within_five_seconds_of_its_session"
_CHANGES = (
    "tests/audit/test_coverage.py::"
    "test_every_route_command_and_job_that_changes_something_has_an_action_or_a_reason"
)
_LEAVES = "tests/audit/test_coverage.py::test_what_is_done_leaves_the_entry_that_is_named"
_LOOKS = (
    "tests/audit/test_coverage.py::"
    "test_whatever_an_officer_alone_may_see_leaves_an_entry_of_the_look"
)
_REWRITTEN = (
    "tests/audit/anchors/test_verifying.py::"
    "test_history_that_was_rewritten_and_signed_again_is_named_with_anchor_and_size"
)
_OWNER = "tests/audit/test_guards.py::test_even_the_owner_is_refused_to_change_what_is_written"
_VERSIONS = (
    "tests/compliance/test_readings.py::test_an_officer_sees_every_version_and_what_was_deleted"
)
_NAMED = "tests/audit/test_verify.py::test_the_verifier_names_what_is_wrong_and_where"
_TLS = "tests/settings/test_prod.py::test_the_deployment_checks_are_clean"
_SIGNALING = (
    "tests/realtime/test_gateway.py::test_a_flood_is_held_back",
    "tests/realtime/test_frames.py::test_any_bytes_are_messages_or_a_violation",
    "tests/realtime/test_gateway.py::test_a_bad_frame_is_refused_and_the_socket_stays",
    "tests/realtime/test_rooms.py::test_nobody_can_say_who_they_are_in_a_signal",
    "tests/realtime/test_rooms.py::test_a_stranger_and_an_old_generation_are_refused",
    "tests/realtime/test_rooms.py::test_who_left_has_no_seat_and_hears_no_signal",
    "tests/voice/test_sockets.py::test_what_is_signalled_is_kept_nowhere",
    "tests/voice/test_calls.py::test_who_is_put_out_is_heard_no_more_and_can_signal_nobody",
)

CONTROLS = [
    Control(
        "HIPAA 164.312(a)(1)",
        "Only who is authorised has access",
        (
            _MATRIX,
            _EVERY_ROUTE,
            "tests/realtime/test_gateway.py::test_a_stranger_cannot_listen_or_send",
        ),
    ),
    Control(
        "HIPAA 164.312(a)(2)(i)",
        "Everybody is identified as one person",
        (
            "tests/audit/test_recording.py::test_an_actor_is_a_user_with_an_id_or_nobody_with_none",
            "tests/accounts/test_models.py::test_a_user_is_found_by_any_spelling_of_their_address",
        ),
    ),
    Control(
        "HIPAA 164.312(a)(2)(ii)",
        "Access in an emergency",
        (
            "tests/compliance/test_readings.py::test_opening_is_recorded_without_a_word_of_why",
            "tests/compliance/test_readings.py::test_a_reason_serves_for_an_hour",
        ),
        "nobody is notified at the moment of an officer's reading",
    ),
    Control(
        "HIPAA 164.312(a)(2)(iii)",
        "Who is idle is signed out",
        ("tests/accounts/test_sessions.py::test_an_idle_or_an_old_session_opens_nothing", _SOCKET),
    ),
    Control(
        "HIPAA 164.312(a)(2)(iv)",
        "What is kept is encrypted",
        (_STOLEN, "tests/accounts/test_sealed.py::test_no_credential_is_readable_in_the_database"),
    ),
    Control(
        "HIPAA 164.312(b)", "Activity is recorded and can be examined", (_CHANGES, _LEAVES, _LOOKS)
    ),
    Control(
        "HIPAA 164.312(c)(1), (c)(2)",
        "What was altered or destroyed is found out",
        (
            _NAMED,
            "tests/encryption/test_attacks.py::test_a_changed_character_in_the_column_is_refused",
            "tests/attacks/test_database_writer.py::test_a_changed_row_is_named",
            "tests/attacks/test_database_writer.py::test_a_moved_text_opens_nowhere_else_and_is_named",
        ),
    ),
    Control(
        "HIPAA 164.312(d)",
        "People are who they say they are",
        (
            "tests/accounts/test_signing_in.py::test_a_wrong_password_is_refused_and_recorded_in_the_organization",
            "tests/accounts/test_tokens.py::test_a_refresh_token_that_comes_back_ends_the_whole_family",
            "tests/realtime/test_gateway.py::test_a_ticket_opens_one_socket_only",
        ),
        "no second factor",
    ),
    Control(
        "HIPAA 164.312(e)(1), (e)(2)",
        "What is on its way is protected",
        (
            _TLS,
            "tests/settings/test_prod.py::test_the_database_is_reached_over_tls_alone_unless_it_is_on_this_machine",
        ),
    ),
    Control(
        "HIPAA 164.316(b)(2)(i)",
        "Records are kept for six years",
        (_OWNER,),
        "nothing deletes from the trail, and no policy says for how long",
    ),
    Control(
        "SEC 17a-4(f)(2)(i)(A)",
        "Every change and deletion with its time and author; originals can be made again",
        (_VERSIONS, "tests/compliance/test_formats.py::test_the_table_says_what_the_evidence_says"),
    ),
    Control(
        "SEC 17a-4(f)(2)(ii)-(v)",
        "Completeness is checked by itself; copies that people and programs can read",
        (
            "tests/audit/test_verify.py::test_the_regular_verification_is_kept_and_recorded",
            "tests/compliance/test_reconcile.py::test_the_daily_job_remembers",
            "tests/compliance/test_verify.py::test_every_scope_is_complete_in_itself",
            "tests/compliance/test_formats.py::test_the_workbook_says_what_the_evidence_says",
            "tests/compliance/test_formats.py::test_the_pages_say_what_the_evidence_says",
        ),
    ),
    Control(
        "FINRA 4511",
        "Six years unless another rule says otherwise",
        (
            "tests/compliance/test_holds.py::test_the_keys_of_a_held_conversation_are_not_destroyed",
            "tests/compliance/test_erasures.py::test_what_two_officers_agreed_on_is_erased_and_nothing_else",
        ),
        "two officers can erase earlier: no floor stops them",
    ),
    Control(
        "GDPR 5, 15, 17",
        "A copy for who asks; erasure, where no other law forbids it",
        (
            "tests/compliance/test_building.py::test_every_kind_of_scope_is_verified",
            "tests/compliance/test_erasures.py::test_under_a_hold_it_is_neither_asked_for_nor_approved",
            "tests/compliance/test_erasures.py::test_a_hold_that_comes_after_the_approval_stops_it",
            "tests/encryption/test_destruction.py::test_what_a_key_sealed_is_erased_and_nothing_else",
        ),
        "erasure reaches whole months of a conversation, not one person's messages alone",
    ),
    Control(
        "21 CFR 11.10(e)",
        "A trail with times, that no change obscures",
        (
            _OWNER,
            _VERSIONS,
            "tests/audit/test_recording.py::test_an_entry_stores_the_bytes_that_were_hashed",
        ),
    ),
    Control(
        "SOC 2 CC6.1, CC6.6, CC6.7",
        "Logical access; data leaves with leave",
        (
            _MATRIX,
            "tests/compliance/test_requests.py::test_who_asked_never_approves",
            "tests/compliance/test_requests.py::test_the_database_refuses_an_approval_by_the_requester",
        ),
    ),
    Control(
        "SOC 2 CC7.1, CC7.2",
        "A change of configuration is seen; what goes wrong is noticed",
        (
            "tests/accounts/test_people.py::test_a_change_of_role_is_in_the_trail_with_both_roles",
            "tests/audit/test_sealing.py::test_the_state_tells_how_fresh_the_log_is",
            "tests/monitoring/test_processes.py::test_every_process_tells_of_itself_and_the_scheduler_of_the_whole",
            "tests/monitoring/test_alerts.py::test_what_is_asked_of_prometheus_is_there",
            "tests/monitoring/test_alerts.py::test_what_the_requirements_ask_to_be_woken_for_is_an_alert",
            "tests/audit/test_feed.py::test_all_that_is_sealed_is_handed_over_once_in_order_and_what_is_not_sealed_waits",
        ),
        "the alerts are rules for a Prometheus that the operator runs",
    ),
    Control(
        "NIST AU-2, AU-3, AU-12",
        "Events are defined, complete and generated",
        (
            _CHANGES,
            _LEAVES,
            "tests/audit/test_coverage.py::test_every_action_is_one_and_is_recorded_somewhere",
        ),
    ),
    Control(
        "NIST AU-4, AU-5",
        "What cannot be recorded is not done",
        (
            "tests/audit/test_recording.py::test_outside_a_transaction_nothing_is_recorded",
            "tests/compliance/test_readings.py::test_nothing_is_shown_when_the_look_cannot_be_recorded",
            "tests/audit/test_guards.py::test_a_row_that_needs_an_entry_commits_only_with_one",
            "tests/monitoring/test_counted.py::test_a_change_whose_entry_cannot_be_written_is_undone_and_counted",
        ),
        "the alert is a rule for a Prometheus that the operator runs",
    ),
    Control(
        "NIST AU-6, AU-7",
        "Entries can be reviewed, in their order",
        (
            "tests/audit/test_sealing.py::test_entries_are_filtered_and_paged_in_a_stable_order",
            "tests/compliance/test_requests.py::test_paging_through_the_trail_gives_every_entry_once",
        ),
    ),
    Control(
        "NIST AU-8",
        "Times are exact and in UTC",
        ("tests/audit/test_recording.py::test_a_time_has_always_six_decimals_and_is_in_utc",),
        "a clock that was set back is not noticed; the order of the log is the leaf's index",
    ),
    Control(
        "NIST AU-9(2), (3), (4)",
        "The trail is kept apart, protected by signatures, and changed by nobody",
        (
            _REWRITTEN,
            "tests/attacks/test_operator.py::test_history_signed_again_is_refused_by_a_checkpoint_that_was_kept",
            "tests/attacks/test_database_writer.py::test_nobody_changes_what_is_kept",
            "tests/audit/test_guards.py::test_the_app_may_read_and_never_change_the_log",
            "tests/audit/test_guards.py::test_the_sealer_reads_no_body_and_touches_nothing_else",
        ),
    ),
    Control(
        "NIST AU-10, AU-11",
        "Who did it cannot deny it; entries are kept",
        (
            "tests/verifiers/test_openssl.py::test_openssl_accepts_a_checkpoint_and_refuses_an_altered_one",
            _OWNER,
        ),
        "people do not sign their own messages",
    ),
    Control(
        "OWASP ASVS 5.0 16",
        "Logs carry no forged line and no secret; sensitive access is logged",
        (
            "tests/accounts/test_origin.py::test_an_agent_cannot_forge_a_line_of_a_log",
            "tests/settings/test_logs.py::test_an_exception_is_logged_by_type_and_place_without_what_it_says",
            _LOOKS,
        ),
    ),
    Control(
        "OWASP ASVS 5.0 7.3, 7.4, 7.5",
        "Sessions end: in time, and when somebody is disabled",
        (
            _DISABLED,
            _SOCKET,
            "tests/accounts/test_sessions.py::test_being_used_keeps_a_session_from_being_idle",
        ),
        "the password is not asked for again before a grave action",
    ),
    Control(
        "OWASP ASVS 5.0 8.3",
        "A change of rights counts at once",
        (
            "tests/realtime/test_gateway.py::test_a_removed_member_hears_that_and_nothing_more",
            "tests/compliance/test_readings.py::test_an_officer_who_lost_the_role_reads_no_further",
        ),
    ),
    Control(
        "OWASP ASVS 5.0 8.4",
        "Organizations do not see each other",
        (
            _MATRIX,
            "tests/compliance/test_requests.py::test_an_officer_of_another_organization_finds_nothing",
        ),
    ),
    Control(
        "OWASP ASVS 5.0 11.3",
        "Authenticated encryption, bound to its place, with nonces that do not repeat",
        (
            "tests/encryption/test_attacks.py::test_a_text_swapped_into_another_row_is_refused",
            "tests/encryption/test_attacks.py::test_an_old_revision_put_back_is_refused",
        ),
    ),
    Control(
        "OWASP ASVS 5.0 13.3",
        "Keys are held in a vault",
        (
            "tests/encryption/test_cloud_kms.py::test_a_wrapped_key_opens_where_it_belongs_and_nowhere_else",
            "tests/encryption/test_cloud_kms.py::test_a_revoked_permission_is_named_with_the_key_and_what_it_needs",
            "tests/settings/test_prod.py::test_an_empty_environment_is_refused_and_every_missing_name_is_said_at_once",
        ),
        "Cloud KMS was run against a fake of its service, not against Google's",
    ),
    Control(
        "OWASP ASVS 5.0 14.2",
        "What is over its time is deleted, and nothing that is held",
        (
            "tests/compliance/test_holds.py::test_no_deletion_that_waited_for_a_hold_slips_past_it",
            "tests/compliance/test_holds.py::test_a_person_s_hold_keeps_every_conversation_that_they_were_ever_in",
        ),
        "no schedule: officers ask for erasures",
    ),
    Control(
        "OWASP ASVS 5.0 17.1",
        "A TURN server relays nothing into private networks, and for nobody without credentials",
        (
            "tests/voice/test_relay.py::test_nothing_is_relayed_into_a_private_network",
            "tests/voice/test_relay.py::"
            "test_credentials_that_are_over_forged_or_another_s_open_nothing",
            "tests/voice/test_calls.py::test_two_hear_each_other_through_the_relay_alone",
        ),
    ),
    Control(
        "OWASP ASVS 5.0 17.2",
        "Media is encrypted, between those whom one means to talk with",
        (
            "tests/voice/test_calls.py::test_who_announces_another_certificate_is_not_connected",
            "tests/voice/test_calls.py::test_who_cannot_sign_for_the_certificate_is_not_connected",
            "tests/voice/sfu/test_livekit.py::"
            "test_a_token_opens_one_call_for_one_place_for_ten_minutes",
        ),
        "through an SFU, media is encrypted to the SFU, not beyond it",
    ),
    Control(
        "OWASP ASVS 5.0 17.3",
        "Signaling stands floods and malformed frames, and reaches nobody that it may not",
        _SIGNALING,
    ),
    Control(
        "SEC 17a-4(f), calls",
        "Who talked with whom is recorded, complete, and deleted by nobody",
        (
            "tests/compliance/test_calls.py::"
            "test_an_export_has_every_event_of_calls_and_an_outsider_can_tell",
            "tests/compliance/test_calls.py::test_a_changed_record_of_a_call_is_named",
            "tests/compliance/test_calls.py::"
            "test_nobody_deletes_or_changes_a_record_of_a_call_held_or_not",
            "tests/voice/test_telling.py::test_who_is_in_a_call_is_told_when_the_policy_changes",
        ),
        "what is said in a call is kept nowhere",
    ),
]
