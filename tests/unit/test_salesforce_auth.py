"""Which login the settings mean, and how a session is kept."""

from contextlib import asynccontextmanager

import httpx
import jwt
import pytest
import respx
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from adapters.salesforce import PLUGIN, auth
from connector.errors import FixConfig, StopRun
from connector.testing.clock import HandClock
from connector.transport import redact

DOMAIN = "https://acme.my.salesforce.com"
TOKEN = f"{DOMAIN}/services/oauth2/token"
ORG, USER = "00D5e000000OrgAEAS", "0055e000000UserAAA"


def variables(**more):
    return {"SALESFORCE_LOGIN_URL": DOMAIN, "SALESFORCE_CLIENT_ID": "the-consumer-key", **more}


def by_secret(**more):
    return variables(SALESFORCE_CLIENT_SECRET="the-consumer-secret", **more)


def by_refresh(**more):
    return variables(SALESFORCE_REFRESH_TOKEN="the-first-refresh-token", **more)


def token(value="a-session-token", **more):
    body = {
        "access_token": value,
        "instance_url": "https://eu99.my.salesforce.com",
        "issued_at": "1780000000000",
    }
    return httpx.Response(200, json={**body, "id": f"https://login.salesforce.com/id/{ORG}/{USER}", **more})


def sent(call):
    return dict(httpx.QueryParams(call.request.content.decode()))


class Kept:
    """A TokenStore in memory that remembers in which order things happened."""

    def __init__(self, stored=None):
        self.stored = stored

    async def load(self, crm):
        return self.stored

    async def save(self, crm, value):
        self.stored = value

    @asynccontextmanager
    async def alone(self, crm):
        yield


@pytest.fixture(scope="module")
def key():
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@pytest.fixture(scope="module")
def pem(key):
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        ({"SALESFORCE_CLIENT_SECRET": "s"}, "client_credentials"),
        ({"SALESFORCE_USERNAME": "u@example.com", "SALESFORCE_PRIVATE_KEY": "k"}, "jwt"),
        ({"SALESFORCE_REFRESH_TOKEN": "r"}, "refresh"),
        ({"SALESFORCE_REFRESH_TOKEN": "r", "SALESFORCE_CLIENT_SECRET": "s"}, "refresh"),
        (
            {
                "SALESFORCE_USERNAME": "u@example.com",
                "SALESFORCE_PRIVATE_KEY": "k",
                "SALESFORCE_CLIENT_SECRET": "s",
            },
            "jwt",
        ),
    ],
)
def test_the_settings_mean_one_way_to_log_in(given, kind):
    assert auth.grant_of(variables(**given)).kind == kind


@pytest.mark.parametrize(
    ("given", "names"),
    [
        ({"SALESFORCE_CLIENT_SECRET": "s"}, "SALESFORCE_CLIENT_ID"),
        ({"SALESFORCE_CLIENT_ID": "c"}, "SALESFORCE_CLIENT_SECRET"),
        ({"SALESFORCE_CLIENT_ID": "c", "SALESFORCE_USERNAME": "u@example.com"}, "SALESFORCE_PRIVATE_KEY"),
        ({"SALESFORCE_CLIENT_ID": "c", "SALESFORCE_PRIVATE_KEY": "k"}, "SALESFORCE_USERNAME"),
    ],
)
def test_half_a_set_of_credentials_names_what_is_missing(given, names):
    assert PLUGIN.connected(given)
    with pytest.raises(FixConfig) as refused:
        auth.grant_of(given)
    assert names in str(refused.value)


def test_no_credentials_mean_not_connected():
    assert not PLUGIN.connected({"SALESFORCE_LOGIN_URL": DOMAIN, "SALESFORCE_API_VERSION": "66.0"})


@pytest.mark.parametrize("host", ["https://login.salesforce.com", "https://test.salesforce.com/"])
def test_client_credentials_need_the_orgs_own_address(host):
    with pytest.raises(FixConfig, match="My Domain"):
        auth.grant_of(by_secret(SALESFORCE_LOGIN_URL=host))


@pytest.mark.parametrize(
    "url",
    [
        "http://acme.my.salesforce.com",
        "acme.my.salesforce.com",
        "https://acme.lightning.force.com",
        "https://acme.my.salesforce.com/lightning/page",
    ],
)
def test_an_address_that_is_no_login_is_refused(url):
    with pytest.raises(FixConfig, match="SALESFORCE_LOGIN_URL"):
        auth.grant_of(by_secret(SALESFORCE_LOGIN_URL=url))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SALESFORCE_API_VERSION", "59.0"),
        ("SALESFORCE_API_VERSION", "latest"),
        ("SALESFORCE_API_VERSION", "66.5"),
        ("SALESFORCE_RATE_SHARE", "0"),
        ("SALESFORCE_DAILY_SHARE", "30%"),
        ("SALESFORCE_DAILY_SHARE", "nan"),
    ],
)
def test_a_setting_that_makes_no_sense_is_named(name, value):
    with pytest.raises(FixConfig, match=name):
        PLUGIN.connect(by_secret(**{name: value}), HandClock(), None)


@pytest.mark.parametrize(
    ("login_url", "audience"),
    [
        ("https://login.salesforce.com", "https://login.salesforce.com"),
        (DOMAIN, "https://login.salesforce.com"),
        ("https://test.salesforce.com", "https://test.salesforce.com"),
        ("https://acme--uat.sandbox.my.salesforce.com", "https://test.salesforce.com"),
    ],
)
@respx.mock
async def test_jwt_bearer_signs_a_short_lived_request_for_the_right_audience(login_url, audience, key, pem):
    clock = HandClock()
    given = {"SALESFORCE_USERNAME": "sync@example.com", "SALESFORCE_PRIVATE_KEY": pem.replace("\n", "\\n")}
    route = respx.post(f"{login_url}/services/oauth2/token").mock(return_value=token())
    login = auth.Login(auth.grant_of(variables(SALESFORCE_LOGIN_URL=login_url, **given)), clock, None)

    session = await login.session()
    await login.close()

    form = sent(route.calls.last)
    claims = jwt.decode(
        form["assertion"], key.public_key(), ["RS256"], audience=audience, options={"verify_exp": False}
    )
    assert form["grant_type"] == "urn:ietf:params:oauth:grant-type:jwt-bearer"
    assert (claims["iss"], claims["sub"]) == ("the-consumer-key", "sync@example.com")
    assert 0 < claims["exp"] - clock.now().timestamp() <= 180
    assert (session.org, session.user) == (ORG, USER)


async def test_a_key_that_is_none_is_a_matter_of_configuration():
    given = {"SALESFORCE_USERNAME": "sync@example.com", "SALESFORCE_PRIVATE_KEY": "-----BEGIN nothing"}
    login = auth.Login(auth.grant_of(variables(**given)), HandClock(), None)

    with pytest.raises(FixConfig, match="SALESFORCE_PRIVATE_KEY"):
        await login.session()
    await login.close()


@respx.mock
async def test_one_login_serves_many_requests_and_names_the_host():
    route = respx.post(TOKEN).mock(return_value=token())
    login = auth.Login(auth.grant_of(by_secret()), HandClock(), None)

    headers = [await login.headers(False) for _ in range(3)]
    await login.close()

    assert headers == [{"Authorization": "Bearer a-session-token"}] * 3
    assert login.instance_url() == "https://eu99.my.salesforce.com"
    assert route.call_count == 1


@respx.mock
async def test_a_renewed_session_brings_its_own_host():
    moved = token("next-session-token", instance_url="https://eu12.my.salesforce.com")
    respx.post(TOKEN).mock(side_effect=[token(), moved])
    login = auth.Login(auth.grant_of(by_secret()), HandClock(), None)
    await login.headers(False)

    headers = await login.headers(True)
    await login.close()

    assert headers == {"Authorization": "Bearer next-session-token"}
    assert login.instance_url() == "https://eu12.my.salesforce.com"


@respx.mock
async def test_a_session_token_is_hidden_from_logs():
    respx.post(TOKEN).mock(return_value=token("opaque-session-token-of-a-test"))
    login = auth.Login(auth.grant_of(by_secret()), HandClock(), None)

    await login.session()
    await login.close()

    assert (
        redact("sent opaque-session-token-of-a-test with the-consumer-secret")
        == "sent [hidden] with [hidden]"
    )


@respx.mock
async def test_a_token_for_an_unencrypted_host_is_refused():
    respx.post(TOKEN).mock(return_value=token(instance_url="http://eu99.my.salesforce.com"))
    login = auth.Login(auth.grant_of(by_secret()), HandClock(), None)

    with pytest.raises(FixConfig):
        await login.session()
    await login.close()


@respx.mock
async def test_a_refused_login_is_asked_once():
    route = respx.post(TOKEN).mock(
        return_value=httpx.Response(
            400, json={"error": "invalid_grant", "error_description": "authentication failure"}
        )
    )
    login = auth.Login(auth.grant_of(by_secret()), HandClock(), None)

    with pytest.raises(FixConfig):
        await login.session()
    await login.close()
    assert route.call_count == 1


def test_a_rotating_grant_without_a_safe_place_is_refused_at_start():
    with pytest.raises(FixConfig, match="CONNECTOR_SECRET_KEY"):
        PLUGIN.connect(by_refresh(), HandClock(), None)


@respx.mock
async def test_a_rotated_refresh_token_is_kept_and_used_next_time():
    kept = Kept()
    route = respx.post(TOKEN).mock(
        side_effect=[token(refresh_token="the-second-refresh-token"), token("b-session-token")]
    )
    login = auth.Login(auth.grant_of(by_refresh()), HandClock(), kept)

    await login.session()
    await login.session(force_refresh=True)
    await login.close()

    assert [sent(call)["refresh_token"] for call in route.calls] == [
        "the-first-refresh-token",
        "the-second-refresh-token",
    ]
    assert kept.stored.endswith(":the-second-refresh-token")
    assert "the-first-refresh-token" not in kept.stored


@respx.mock
async def test_a_newly_authorised_token_goes_before_what_grew_out_of_the_last_one():
    kept = Kept()
    route = respx.post(TOKEN).mock(side_effect=[token(refresh_token="the-second-refresh-token"), token()])
    before = auth.Login(auth.grant_of(by_refresh()), HandClock(), kept)
    await before.session()
    await before.close()
    anew = variables(SALESFORCE_REFRESH_TOKEN="authorised-again-token")
    login = auth.Login(auth.grant_of(anew), HandClock(), kept)

    await login.session()
    await login.close()

    assert sent(route.calls.last)["refresh_token"] == "authorised-again-token"


@respx.mock
async def test_a_rotated_token_that_is_refused_is_not_answered_with_its_dead_ancestor():
    """Showing an old token again would revoke the grant for good, where the refusal may pass."""
    kept = Kept()
    locked_out = httpx.Response(400, json={"error": "invalid_grant", "error_description": "ip restricted"})
    route = respx.post(TOKEN).mock(side_effect=[token(refresh_token="the-second-refresh-token"), locked_out])
    login = auth.Login(auth.grant_of(by_refresh()), HandClock(), kept)
    await login.session()

    with pytest.raises(FixConfig):
        await login.session(force_refresh=True)
    await login.close()

    assert route.call_count == 2


@respx.mock
async def test_a_rotated_token_is_kept_although_the_store_was_away_when_it_came():
    class Away(Kept):
        away = True

        async def save(self, crm, value):
            if self.away:
                raise ConnectionError("the database is away")
            await super().save(crm, value)

    kept = Away()
    answers = [
        token(refresh_token="the-second-refresh-token"),
        token(refresh_token="the-third-refresh-token"),
    ]
    route = respx.post(TOKEN).mock(side_effect=answers)
    login = auth.Login(auth.grant_of(by_refresh()), HandClock(), kept)
    with pytest.raises(ConnectionError):
        await login.session()
    kept.away = False

    await login.session()
    await login.close()

    assert sent(route.calls.last)["refresh_token"] == "the-second-refresh-token"
    assert kept.stored.endswith(":the-third-refresh-token")


@respx.mock
async def test_a_refresh_whose_answer_is_lost_is_not_sent_twice():
    route = respx.post(TOKEN).mock(side_effect=httpx.ReadTimeout("late"))
    login = auth.Login(auth.grant_of(by_refresh()), HandClock(), Kept())

    with pytest.raises(StopRun):
        await login.session()
    await login.close()
    assert route.call_count == 1


@pytest.mark.parametrize(
    "body", [{}, {"access_token": "x"}, [], {"access_token": "x", "instance_url": "y", "id": 5}]
)
@respx.mock
async def test_a_token_answer_without_what_we_need_stops_the_run(body):
    respx.post(TOKEN).mock(return_value=httpx.Response(200, json=body))
    login = auth.Login(auth.grant_of(by_secret()), HandClock(), None)

    with pytest.raises(StopRun):
        await login.session()
    await login.close()
