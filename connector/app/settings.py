"""Settings from the environment; each variable also works as `NAME_FILE`, a path to a mounted secret.

Reads variables and files, decides nothing else. A bad value is a FixConfig that names the variable, never its value.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal
from urllib.parse import unquote, urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict
from pydantic_settings.sources import EnvSettingsSource

from connector.core.durations import parse_duration
from connector.core.names import nearest
from connector.errors import FixConfig, Problem
from connector.ports import Variable
from connector.transport.redact import remember_secrets
from connector.transport.urls import checked_url

SECRET_SUFFIX = "_FILE"  # noqa: S105 (a suffix, not a secret)
SHORTEST_KEY = 16  # characters of a key or a token; shorter ones can be guessed


class Settings(BaseSettings):
    """The connector's own settings. Those of a CRM belong to its adapter (`Plugin.variables`)."""

    model_config = SettingsConfigDict(env_prefix="CONNECTOR_", extra="ignore", frozen=True)

    database_url: str = Field("sqlite:///connector.db", description="Where the ledger lives")
    mappings_dir: Path = Field(Path("mappings"), description="Folder of the mapping and criteria files")
    config_owner: Literal["files", "console"] = Field(
        "files", description="Who publishes a changed definition: the files or the console"
    )
    secret_key: SecretStr | None = Field(
        None, description="Seals a rotated refresh token, the only secret that the ledger may hold"
    )
    admin_token: SecretStr | None = Field(None, description="Opens the HTTP port beyond this host; admin")
    operator_token: SecretStr | None = Field(None, description="A token of the role operator")
    viewer_token: SecretStr | None = Field(None, description="A token of the role viewer")
    bind: str = Field("127.0.0.1:8080", description="Address and port of the HTTP server")
    ingest_token: SecretStr | None = Field(
        None,
        description="The write key of first-party engagement; unset: taken only from this machine, while bound to it",
    )
    public_url: str | None = Field(
        None, description="Under which https address others reach the connector, as HubSpot's webhooks do"
    )
    sync_interval: str = Field(
        "15m", description="Time between two scheduled syncs: a number and s, m, h, d or w"
    )
    timezone: str = Field("UTC", description="Zone of weeks, digests and working hours; storage is UTC")
    notify_urls: SecretStr | None = Field(
        None,
        description="Where people are told: Apprise URLs, each with tags before it (`sales=slack://...`)",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="How much is logged")
    log_format: Literal["json", "text"] | None = Field(
        None, description="Log lines as JSON or text; unset: text on a terminal, else JSON"
    )

    def model_post_init(self, context: Any) -> None:
        """Hide what is secret wherever it turns up, from the first moment on that anybody has it."""
        remember_secrets(secrets_in(self))

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Only the environment (and mounted files), never a stray `.env`."""
        return (init_settings, _MountedEnv(settings_cls))

    @field_validator("sync_interval")
    @classmethod
    def _interval(cls, value: str) -> str:
        parse_duration(value)
        return value

    @field_validator("log_level", "log_format", "config_owner", mode="before")
    @classmethod
    def _lower(cls, value: Any) -> Any:
        return value.strip().lower() if isinstance(value, str) else value

    @field_validator("timezone")
    @classmethod
    def _zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError) as error:
            raise ValueError("is not a time zone such as Europe/Berlin") from error
        return value

    @field_validator("secret_key", "admin_token", "operator_token", "viewer_token")
    @classmethod
    def _long_enough(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and len(value.get_secret_value()) < SHORTEST_KEY:
            raise ValueError(
                f"is shorter than {SHORTEST_KEY} characters; make one with `openssl rand -base64 32`"
            )
        return value

    @field_validator("public_url")
    @classmethod
    def _address(cls, value: str | None) -> str | None:
        try:
            return None if value is None else checked_url("It", value)
        except FixConfig as error:
            raise ValueError(
                f"{error.message.removeprefix('It ').rstrip('.')}; it is as in https://mql.example.com"
            ) from error

    @field_validator("admin_token", "operator_token", "viewer_token")
    @classmethod
    def _sendable(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not re.fullmatch(r"[!-~]+", value.get_secret_value()):
            raise ValueError("has a blank or a character that no HTTP header takes")
        return value

    @field_validator("ingest_token")
    @classmethod
    def _user_name(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not re.fullmatch(r"[!-9;-~]+", value.get_secret_value()):
            raise ValueError("has a blank, a colon or a character that no user name takes")
        return value

    @field_validator("bind")
    @classmethod
    def _bind(cls, value: str) -> str:
        found = re.fullmatch(r"(\[[0-9a-fA-F:]+\]|[^:\s]+):(\d{1,5})", value)
        if found is None or int(found[2]) > 65_535:
            raise ValueError("is not host:port with a port up to 65535")
        return value


def secrets_in(settings: Settings) -> list[str]:
    """The value of every setting that is declared a secret, and the password in the database's URL."""
    values = [getattr(settings, name) for name in type(settings).model_fields]
    found = [value.get_secret_value() for value in values if isinstance(value, SecretStr)]
    with suppress(ValueError):  # a URL that cannot be read is told by whoever opens it
        password = urlsplit(settings.database_url).password
        found += [password, unquote(password)] if password else []
    return found


class _MountedEnv(EnvSettingsSource):
    """The environment with every NAME_FILE already read."""

    def _load_env_vars(self) -> Mapping[str, str | None]:
        names = [f"CONNECTOR_{name.upper()}" for name in self.settings_cls.model_fields]
        return {name.lower(): value for name, value in mounted(names).items()}


def mounted(names: list[str], environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """The variables of these names that are set, each from itself or from the file that NAME_FILE names.

    An empty variable or an empty file counts as unset (compose files set them so). Raises FixConfig when both are set
    or the file cannot be read.
    """
    env: Mapping[str, str] = os.environ if environ is None else environ
    found: dict[str, str] = {}
    for name in names:
        direct, path = env.get(name), env.get(name + SECRET_SUFFIX)
        if direct and path:
            raise FixConfig(
                f"Both {name} and {name}{SECRET_SUFFIX} are set.", next_step="Keep one of them.", where=name
            )
        if direct:
            found[name] = direct
        elif path:
            try:
                if value := Path(path).read_text(encoding="utf-8").strip():
                    found[name] = value
            except (OSError, UnicodeDecodeError) as error:
                raise FixConfig(
                    f"The file that {name}{SECRET_SUFFIX} names cannot be read ({type(error).__name__}).",
                    next_step="Check that the secret is mounted and readable by the container's user.",
                    where=name,
                ) from error
    return found


def load_settings(**overrides: Any) -> Settings:
    """The settings in force. Raises FixConfig with every bad variable at once."""
    try:
        return Settings(**overrides)
    except ValidationError as error:
        said = {f"CONNECTOR_{str(item['loc'][0]).upper()}": _said(item["msg"]) for item in error.errors()}
        raise FixConfig(
            f"{len(said)} setting(s) cannot be used.",
            next_step="See docs/reference/settings.md.",
            problems=[Problem((name,), f"{what}.") for name, what in said.items()],
        ) from None


def _said(message: str) -> str:
    return message.removeprefix("Value error, ").removeprefix("Input ").rstrip(".")


def interval_of(settings: Settings, crm: str, environ: Mapping[str, str] | None = None) -> timedelta:
    """Time between two scheduled syncs of this CRM: CONNECTOR_SYNC_INTERVAL_<CRM>, else the common one."""
    name = f"CONNECTOR_SYNC_INTERVAL_{crm.upper()}"
    try:
        return parse_duration(mounted([name], environ).get(name) or settings.sync_interval)
    except ValueError as error:
        raise FixConfig(
            f"{name}: {error}", next_step="See docs/reference/settings.md.", where=name
        ) from error


def misspelt(known: Iterable[str], environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """Variables that are set and that nobody reads, but that look much like one of `known`: name -> the right name.

    Others' variables are no mistake, so only what comes close within the same prefix (`HUBSPOT_...`) counts.
    """
    env: Mapping[str, str] = os.environ if environ is None else environ
    right = {name for each in known for name in (each, each + SECRET_SUFFIX)}
    by_prefix: dict[str, dict[str, str]] = {}
    for name in right:
        prefix, _, rest = name.partition("_")
        by_prefix.setdefault(prefix, {})[rest] = name
    found: dict[str, str] = {}
    for name in sorted(set(env) - right):
        prefix, _, rest = name.partition("_")
        if hint := nearest(rest, by_prefix.get(prefix, ())):
            found[name] = by_prefix[prefix][hint]
    return found


def variables_of(variables: tuple[Variable, ...], environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """An adapter's variables: what is set, defaults for the rest, nothing for what has neither. Those declared secret
    are hidden from now on wherever they turn up."""
    found = mounted([variable.name for variable in variables], environ)
    remember_secrets(found.get(variable.name) for variable in variables if variable.secret)
    for variable in variables:
        if variable.default is not None:
            found.setdefault(variable.name, variable.default)
    return found


@dataclass(frozen=True, slots=True)
class Documented:
    """One row of docs/reference/settings.md."""

    name: str
    default: str
    what: str


def documented_settings() -> list[Documented]:
    """Every setting of the connector itself, for the reference and its test."""
    return [
        Documented(
            f"CONNECTOR_{name.upper()}",
            "" if field.default is None else str(field.default),
            field.description or "",
        )
        for name, field in Settings.model_fields.items()
    ]
