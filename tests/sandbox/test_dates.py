"""The sandbox tells its own time, also when a test has moved it."""

from email.utils import parsedate_to_datetime

from tests.sandbox.conftest import Rig


def test_every_answer_is_dated_by_the_sandbox_s_clock() -> None:
    rig = Rig()
    try:
        for seconds in (0.0, 3600.0):
            rig.advance(seconds)
            answer = rig.request("GET", "/user/credit/detail", headers=rig.headers)
            told = parsedate_to_datetime(answer.headers["date"]).timestamp()
            assert told == int(rig.world.clock())
    finally:
        rig.close()
