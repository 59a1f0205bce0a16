"""Sends one request and brings back one answer: permit, credentials, retries, clear errors. The only retry
policy.

What a status or a body means is the adapter's to say (`classify`); how long to wait and when to give up is
decided here. Nothing of a request's query or body, and no credential, reaches an error or a log line.
"""

from __future__ import annotations

import asyncio
import importlib.util
import io
import random
import socket
import ssl
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, NoReturn, Protocol

import httpx
import orjson
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, wait_exponential_jitter

from connector.errors import ConnectorError, FixConfig, OutcomeUnknown, RetryLater, StopRun
from connector.ports import Alive, Clock
from connector.transport.limiter import Limiter
from connector.transport.redact import scrub
from connector.transport.watch import watched

# httpcore tries to import this optional module at every request. Where it is not installed, Python would
# search the disk each time, which costs more than the request; an entry of None makes the import fail at
# once.
if "sniffio" not in sys.modules and importlib.util.find_spec("sniffio") is None:
    sys.modules["sniffio"] = None  # type: ignore[assignment]

TRIES = 5  # of one request, in all
TRIES_WHEN_LIMITED = 10  # a 429 costs nothing but time, and others may share the allowance
LONGEST_WAIT = timedelta(minutes=2)  # a longer one is the run's to decide, not a request's
TIMEOUT = timedelta(seconds=30)  # of one try, in all: below a lease's 45 s
AT_ONCE = 16  # requests under way at once: 19 a second need no more, and each costs the pool time


_leaving: ContextVar[Alive | None] = ContextVar("leaving", default=None)


@contextmanager
def leaving(alive: Alive | None) -> Iterator[None]:
    """What is sent within belongs to writes under a lease: `alive` is asked before each try of each request, after all
    waiting for permits and patience, and raises where the lease would not outlive the request. None changes nothing."""
    token = _leaving.set(alive or _leaving.get())
    try:
        yield
    finally:
        _leaving.reset(token)


class Auth(Protocol):
    """Credentials of one CRM."""

    async def headers(self, force_refresh: bool) -> Mapping[str, str]:
        """What to send along. `force_refresh`: the vendor refused the present token; get another. Raises
        FixConfig.
        """
        ...


class NoAuth:
    """For requests that carry their credentials in the body, as token requests do."""

    async def headers(self, force_refresh: bool) -> Mapping[str, str]:
        return {}


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back. `json` is None where no body came, or none that reads as JSON (`readable` False).

    `body` is the body as it came (decompressed, at its beginning) where it was asked for and the request succeeded.
    """

    status: int
    headers: Mapping[str, str]  # names are case-insensitive
    json: Any
    readable: bool = True
    size: int = 0  # bytes of the body, decompressed
    asked: str = ""  # method and path, without the query
    correlation_id: str = ""
    body: io.BytesIO | None = None

    @property
    def content_type(self) -> str:
        """The media type, without parameters; empty when none was said."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    @property
    def server_time(self) -> datetime | None:
        """The vendor's clock (header `Date`, whole seconds), aware UTC; None where it does not say."""
        try:
            return parsedate_to_datetime(self.headers.get("date", "")).astimezone(UTC)
        except (TypeError, ValueError):
            return None


@dataclass(frozen=True, slots=True)
class Ok:
    """The answer is what was asked for."""


@dataclass(frozen=True, slots=True)
class Retry:
    """Send it again; when patience ends, raise `error`.

    `after`: the waiting time the vendor or its policy asks for (None: exponential with jitter). `refused`:
    the vendor certainly did not act on it, so that even a write may be sent again. `hold`: keep the whole
    limiter waiting.
    """

    error: ConnectorError
    after: timedelta | None = None
    refused: bool = False
    hold: bool = False


@dataclass(frozen=True, slots=True)
class Refresh:
    """The token was refused: get another and try once more; if that is refused too, raise `error`."""

    error: ConnectorError


@dataclass(frozen=True, slots=True)
class Fail:
    """Sending it again cannot help: raise `error`."""

    error: ConnectorError


Verdict = Ok | Retry | Refresh | Fail
Classify = Callable[[Answer], Verdict]


@dataclass(slots=True)
class _Request:
    method: str
    path: str
    policy: str
    idempotent: bool
    json_due: bool
    content: dict[str, Any]
    raw: bool = False
    headers: Mapping[str, str] = field(default_factory=dict)
    refreshed: bool = False
    limited: int = 0  # how often it was refused for the limit

    @property
    def asked(self) -> str:
        return f"{self.method} {httpx.URL(self.path).path}"


class _AgainError(Exception):
    """One try failed in a way that another may not."""

    def __init__(self, error: ConnectorError, after: timedelta | None = None, tries: int = TRIES) -> None:
        super().__init__(error.message)
        self.error = error
        self.after = after
        self.tries = tries


class Transport:
    """One CRM over HTTP. `limits` maps a policy to its limiter; a policy without one is not limited.

    `base_url` may be a function, asked at each try after the credentials (for vendors that name their host
    with the token). `correlation_header` is the vendor's header that identifies a request to its support.
    """

    def __init__(
        self,
        base_url: str | Callable[[], str],
        *,
        auth: Auth,
        limits: Mapping[str, Limiter],
        classify: Classify,
        clock: Clock,
        name: str,
        timeout: timedelta = TIMEOUT,
        verify: ssl.SSLContext | bool = True,
        correlation_header: str = "x-request-id",
        user_agent: str = "mql-connector",
    ) -> None:
        self.name = name
        self.calls = 0  # requests that reached the vendor, refused ones included
        self._base_url = base_url
        self._auth = auth
        self._limits = limits
        self._classify = classify
        self._clock = clock
        self._timeout = timeout
        self._correlation_header = correlation_header
        self._places = asyncio.Semaphore(AT_ONCE)
        self._renewing = asyncio.Lock()
        self._renewals = 0
        self._backoff = wait_exponential_jitter(initial=1, max=30, jitter=1)
        seconds = timeout.total_seconds()
        self._client = httpx.AsyncClient(
            timeout=httpx.Timeout(seconds, connect=min(10.0, seconds), pool=None),
            limits=httpx.Limits(max_connections=AT_ONCE, max_keepalive_connections=AT_ONCE),
            headers={"accept": "application/json", "accept-encoding": "gzip", "user-agent": user_agent},
            verify=verify,
            follow_redirects=False,
            # A company's proxy (HTTPS_PROXY) is honoured, but never for this machine.
            mounts={f"all://{host}": None for host in ("localhost", "127.0.0.1", "[::1]")},
        )

    async def close(self) -> None:
        """Give connections back."""
        await self._client.aclose()

    async def send(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        json: Any = None,
        data: Mapping[str, str] | None = None,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        policy: str = "default",
        idempotent: bool = True,
        json_due: bool = True,
        raw: bool = False,
    ) -> Answer:
        """One request until it is answered for good. `path` begins with a slash; `data` is sent as a form, `content`
        as it is.

        `idempotent=False` marks a write: OutcomeUnknown when nobody can tell whether the vendor acted on it.
        `json_due=False`: a body that is not JSON is not an error. `raw=True`: the body of a success is not
        looked into but handed on in `Answer.body`, held once however large. Raises what `classify` says, RetryLater
        when the vendor stays unreachable or busy, StopRun for an answer that is not JSON, FixConfig for a
        broken TLS trust.
        """
        sent: dict[str, Any] = {}
        sent_headers = dict(headers or {})
        if params:
            sent["params"] = {key: value for key, value in params.items() if value is not None}
        if json is not None:
            sent["content"] = orjson.dumps(json)
            sent_headers.setdefault("content-type", "application/json")
        if data is not None:
            sent["data"] = dict(data)
        if content is not None:
            sent["content"] = content
        request = _Request(method, path, policy, idempotent, json_due and not raw, sent, raw, sent_headers)
        retrying = AsyncRetrying(
            retry=retry_if_exception_type(_AgainError),
            stop=_give_up,
            wait=self._wait,
            sleep=self._sleep,
            reraise=True,
        )
        try:
            answer: Answer = await retrying(self._try, request)
        except _AgainError as last:
            raise last.error from last.__cause__
        return answer

    # ---------------------------------------------------------------------------------------------- one try

    async def _try(self, request: _Request) -> Answer:
        renewals = self._renewals
        credentials = await self._auth.headers(False)
        answer = await self._exchange(request, credentials)
        verdict = self._classify(answer)
        match verdict:
            case Ok():
                if not answer.readable and request.json_due:
                    self._raise_unreadable(request, answer)
                return answer
            case Fail():
                raise verdict.error
            case Refresh():
                if request.refreshed:
                    raise verdict.error
                request.refreshed = True
                await self._renew(renewals)
                raise _AgainError(verdict.error, after=timedelta(0))
            case Retry():
                return self._raise_again(request, answer, verdict)

    async def _exchange(self, request: _Request, credentials: Mapping[str, str]) -> Answer:
        limiter = self._limits.get(request.policy)
        if limiter is None:
            return await self._call(request, credentials)
        async with limiter.permit():
            return await self._call(request, credentials)

    async def _call(self, request: _Request, credentials: Mapping[str, str]) -> Answer:
        base = self._base_url if isinstance(self._base_url, str) else self._base_url()
        async with self._places:
            alive = _leaving.get()
            if alive is not None:
                await alive()
            with watched(self.name, request.method, request.path) as told:
                try:
                    async with asyncio.timeout(self._timeout.total_seconds()):
                        response, kept = await self._ask(
                            request, base + request.path, {**request.headers, **credentials}
                        )
                except (
                    httpx.ConnectError,
                    httpx.ConnectTimeout,
                    httpx.PoolTimeout,
                    httpx.ProxyError,
                ) as error:
                    self._raise_unreachable(request, httpx.URL(base).host, error)
                except (httpx.UnsupportedProtocol, httpx.InvalidURL) as error:
                    raise FixConfig(
                        f"The base URL of {self.name} is not usable.",
                        next_step="Set it to an https:// address.",
                        where=request.asked,
                    ) from error
                except (httpx.TransportError, httpx.DecodingError, TimeoutError) as error:
                    self.calls += 1
                    told(0)
                    self._raise_no_answer(request, error)
                self.calls += 1
                told(response.status_code)
        return self._read(request, response, kept)

    async def _ask(
        self, request: _Request, url: str, headers: Mapping[str, str]
    ) -> tuple[httpx.Response, io.BytesIO | None]:
        """The response, and the body of a success apart where it was asked for."""
        if not request.raw:
            return await self._client.request(request.method, url, headers=headers, **request.content), None
        async with self._client.stream(request.method, url, headers=headers, **request.content) as response:
            if not response.is_success:
                await response.aread()
                return response, None
            kept = io.BytesIO()
            async for piece in response.aiter_bytes():
                kept.write(piece)
        kept.seek(0)
        return response, kept

    def _read(self, request: _Request, response: httpx.Response, kept: io.BytesIO | None) -> Answer:
        body = b"" if kept is not None else response.content
        document, readable = None, False
        if body:
            try:
                document, readable = orjson.loads(body), True
            except orjson.JSONDecodeError:
                readable = False
        elif response.status_code in (201, 202, 204, 304):
            readable = True  # these may well come without a body
        correlation = response.headers.get(self._correlation_header, "")
        if not correlation and isinstance(document, dict):
            correlation = str(document.get("correlationId") or "")
        return Answer(
            status=response.status_code,
            headers=response.headers,
            json=document,
            readable=readable,
            size=len(kept.getbuffer()) if kept is not None else len(body),
            asked=request.asked,
            correlation_id=scrub(correlation)[:100],
            body=kept,
        )

    async def _renew(self, renewals: int) -> None:
        """Another token, once for all requests that were refused with the old one."""
        async with self._renewing:
            if self._renewals == renewals:
                await self._auth.headers(True)
                self._renewals += 1

    # -------------------------------------------------------------------------------------- what went wrong

    def _raise_again(self, request: _Request, answer: Answer, verdict: Retry) -> NoReturn:
        if not request.idempotent and not verdict.refused:
            raise OutcomeUnknown(
                f"{self.name} answered {answer.status} to a write; it may or may not have been done.",
                next_step="The record is read back before it is written again.",
                where=self._where(request, answer),
            )
        limiter = self._limits.get(request.policy)
        if verdict.hold and verdict.after is not None and limiter is not None:
            limiter.hold(min(verdict.after, LONGEST_WAIT))
        if verdict.after is not None and verdict.after > LONGEST_WAIT:
            raise verdict.error
        raise _AgainError(verdict.error, verdict.after, TRIES_WHEN_LIMITED if verdict.refused else TRIES)

    def _raise_unreachable(self, request: _Request, host: str, error: Exception) -> NoReturn:
        causes = _inside(error)
        untrusted = next((e for e in causes if isinstance(e, ssl.SSLCertVerificationError)), None)
        if untrusted is not None:
            raise FixConfig(
                f"The certificate of {host} is not trusted here ({untrusted.verify_message}).",
                next_step="Check the base URL; behind a proxy with its own CA, set SSL_CERT_FILE to that CA.",
                where=request.asked,
            ) from error
        if any(isinstance(e, socket.gaierror) for e in causes):
            what = f"The host name {host} of {self.name} cannot be looked up."
        elif isinstance(error, httpx.ConnectTimeout):
            what = f"{self.name} ({host}) did not accept a connection in time."
        elif isinstance(error, httpx.ProxyError):
            what = f"The proxy on the way to {self.name} ({host}) refused."
        else:
            what = f"{self.name} ({host}) refused the connection."
        raise _AgainError(
            RetryLater(
                what,
                next_step="Nothing was sent. Check the network and the base URL; the next run tries again.",
                where=request.asked,
            ),
            tries=4,
        ) from error

    def _raise_no_answer(self, request: _Request, error: Exception) -> NoReturn:
        if isinstance(error, (httpx.TimeoutException, TimeoutError)):
            what = f"{self.name} did not answer within {self._timeout.total_seconds():g} s."
        elif isinstance(error, httpx.DecodingError):
            what = f"{self.name} sent a body that does not decompress."
        else:
            what = f"{self.name} broke the connection off before its answer was complete."
        if not request.idempotent:
            raise OutcomeUnknown(
                f"{what} The write may have arrived.",
                next_step="The record is read back before it is written again.",
                where=request.asked,
            ) from error
        raise _AgainError(
            RetryLater(
                what, next_step="The next run asks again from where this one got.", where=request.asked
            )
        ) from error

    def _raise_unreadable(self, request: _Request, answer: Answer) -> NoReturn:
        kind = answer.content_type or "no content type"
        if answer.size == 0:
            what = f"{self.name} answered {answer.status} with an empty body where JSON was due."
        elif "json" in kind:
            what = f"{self.name} answered {answer.status} with JSON that breaks off or is malformed."
        else:
            what = f"{self.name} answered {answer.status} with {kind} where JSON was due."
        if not request.idempotent:
            raise OutcomeUnknown(
                f"{what} The write may have been done.",
                next_step="The record is read back before it is written again.",
                where=self._where(request, answer),
            )
        raise _AgainError(
            StopRun(
                what,
                next_step="Check the base URL, and whether a proxy or maintenance page answers instead.",
                where=self._where(request, answer),
            ),
            tries=3,
        )

    def _where(self, request: _Request, answer: Answer) -> str:
        if not answer.correlation_id:
            return request.asked
        return f"{request.asked} (request {answer.correlation_id})"

    # --------------------------------------------------------------------------------------------- patience

    def _wait(self, state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        if isinstance(error, _AgainError) and error.after is not None:
            seconds = error.after.total_seconds()
            return seconds + random.uniform(0, min(1.0, seconds / 10))
        return float(self._backoff(state))

    async def _sleep(self, seconds: float) -> None:
        if seconds > 0:
            await self._clock.sleep(timedelta(seconds=seconds))


def _give_up(state: RetryCallState) -> bool:
    error = state.outcome.exception() if state.outcome else None
    return not isinstance(error, _AgainError) or state.attempt_number >= error.tries


def _inside(error: BaseException | None) -> list[BaseException]:
    """The error and its causes: httpx and httpcore each wrap what the socket said."""
    chain: list[BaseException] = []
    while error is not None and error not in chain:
        chain.append(error)
        error = error.__cause__ or error.__context__
    return chain
