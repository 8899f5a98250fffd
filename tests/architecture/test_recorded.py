"""Nothing changes without an entry in the activity log.

The door announces every successful write whose domain announced nothing, so what is left to look at
is who declared that it need not. Each such route is named here: one more is a decision.
"""

from tests.fixtures.routes import routes_of
from undercroft.app import Application
from undercroft.foundation.http.router import WRITES, guard_of
from undercroft.operations.activity.listener import write_entry
from undercroft.wings import create_registry

UNRECORDED = {
    # An entry of their own making: each outcome has a transaction that is not the door's.
    "login",
    "login_with_password",
    # Without any.
    "refresh",
    "refresh_token",
    "verify_one_time_password",
    "check_user_availability",
    "begin_passkey",
    "begin_showing_passkey",
    "begin_passkey_sign_in",
}


def test_only_these_writes_leave_no_entry(app: Application):
    found = {
        route.operation_id
        for route in routes_of(app)
        if (guard := guard_of(route.endpoint)) and guard.unrecorded
    }
    assert found == UNRECORDED


def test_each_of_them_says_why(app: Application):
    for route in routes_of(app):
        guard = guard_of(route.endpoint)
        assert guard
        assert guard.unrecorded is None or len(guard.unrecorded) > 5, route.path


def test_there_are_writes_to_record(app: Application):
    writes = [route for route in routes_of(app) if set(route.methods or ()) & WRITES]
    assert len(writes) > 60


def test_the_log_hears_everything():
    assert write_entry in create_registry().listeners_to(object())
