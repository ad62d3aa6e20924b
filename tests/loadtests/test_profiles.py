"""Profiles and the variables that size them."""

import pytest

from loadtests.profiles import FAULTS, BadProfile, profile

ALL = ("smoke", "steps", "find-max", "spike", "soak", "storm", "rolling", "faults")


@pytest.mark.parametrize("name", ALL)
def test_each_profile_has_bounded_phases_with_users(name: str) -> None:
    made = profile(name, {})
    assert made.steps
    for step in made.steps:
        assert 0 < step.seconds <= 24 * 3600
        assert 0 < step.users == step.members + step.voices + step.officers


def test_smoke_ends_within_a_minute() -> None:
    assert sum(step.seconds for step in profile("smoke", {}).steps) < 40


def test_variables_size_a_profile() -> None:
    given = {"MEMBERS": "7", "VOICES": "0", "RATE": "2.5", "SECONDS": "3", "MIX": "send"}
    made = profile("smoke", given)
    [step] = made.steps
    assert (step.members, step.voices, step.rate, step.seconds) == (7, 0, 2.5, 3)
    assert made.rate_unit == "sends a second"


def test_faults_are_chosen_by_name() -> None:
    made = profile("faults", {"FAULTS": "pub/sub cut, redis restarted"})
    assert [step.fault for step in made.steps] == ["", "pub/sub cut", "redis restarted", ""]
    assert {step.fault for step in profile("faults", {}).steps} == {"", *FAULTS}


@pytest.mark.parametrize(
    ("name", "given", "says"),
    [
        ("smok", {}, "There is no profile 'smok'. There are: smoke, steps"),
        ("smoke", {"MEMBERS": "many"}, "MEMBERS is a number, not 'many'"),
        ("smoke", {"MEMBERS": "2.5"}, "MEMBERS is a number, not '2.5'"),
        ("smoke", {"SECONDS": "-1"}, "SECONDS is from 0 to 86400, not -1"),
        ("smoke", {"SECONDS": "100000"}, "SECONDS is from 0 to 86400"),
        ("smoke", {"RATE": "nan"}, "RATE is from 0"),
        ("smoke", {"MIX": "all"}, "MIX is people or send, not 'all'"),
        ("smoke", {"MEDIA": "video"}, "MEDIA is none or aiortc"),
        ("faults", {"FAULTS": "earthquake"}, "not 'earthquake'"),
    ],
)
def test_what_cannot_be_run_is_refused_in_words(
    name: str, given: dict[str, str], says: str
) -> None:
    with pytest.raises(BadProfile, match="(?s)" + says.replace("(", r"\(")):
        profile(name, given)
