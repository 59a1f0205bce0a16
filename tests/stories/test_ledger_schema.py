"""The ledger opens what it should, and says what is wrong with the rest."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, select, text

import connector.ledger
from connector.errors import FixConfig
from connector.ledger import open_ledger, upgrade
from connector.ledger.tables import METADATA, RECORD
from connector.ledger.types import time_to_db
from connector.ledger.upgrade import HEAD


def test_the_migrations_lead_to_the_tables_as_declared(database_url):
    upgrade(database_url)
    engine = create_engine(database_url)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        differences = compare_metadata(context, METADATA)
    engine.dispose()
    assert differences == []


def migrations() -> Config:
    """Alembic's configuration, with the ledger's scripts."""
    config = Config()
    config.set_main_option("script_location", str(Path(connector.ledger.__file__).parent / "migrations"))
    return config


def test_the_quick_look_at_the_version_knows_the_newest_migration():
    assert ScriptDirectory.from_config(migrations()).get_heads() == [HEAD]


def test_runs_kept_before_backfills_existed_survive_the_upgrade(database_url):
    engine = create_engine(database_url)
    config = migrations()
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        connection.execute(
            text(
                "INSERT INTO run (kind, status, crms, started_at, document) VALUES ('sync', 'succeeded', '[]', "
                + ("0" if connection.dialect.name == "sqlite" else "now()")
                + ", '{}')"
            )
        )
    upgrade(database_url)
    with engine.begin() as connection:
        assert connection.execute(text("SELECT id, kind, backfill FROM run")).all() == [(1, "sync", None)]
    engine.dispose()


def test_accounts_kept_before_they_were_looked_up_are_found_after_the_upgrade(database_url):
    engine = create_engine(database_url)
    config = migrations()
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0005")
        now = "0" if connection.dialect.name == "sqlite" else "now()"
        false = "0" if connection.dialect.name == "sqlite" else "false"
        for ref, kind, body in (
            ("hubspot:company:1", "company", '{"fields": {"company_domain": "acme.example"}}'),
            ("hubspot:company:2", "company", '{"fields": {"company_domain": "gmail.com"}}'),
            ("hubspot:company:3", "company", '{"fields": {}}'),
            ("hubspot:contact:1", "person", '{"fields": {"email_domain": "bee.example"}, "company": null}'),
            (
                "hubspot:contact:2",
                "person",
                '{"fields": {"email_domain": "bee.example"}, "company": "hubspot:company:1"}',
            ),
            ("salesforce:Opportunity:006", "opportunity", '{"company": "salesforce:Account:001"}'),
        ):
            connection.execute(
                text(
                    "INSERT INTO record (ref, kind, vendor_id, body, vendor, state, first_load, changed_at,"
                    f" observed_at) VALUES (:ref, :kind, '1', :body, '{{}}', 'live', {false}, {now}, {now})"
                ),
                {"ref": ref, "kind": kind, "body": body},
            )
    upgrade(database_url)
    with engine.begin() as connection:
        assert connection.execute(text("SELECT domain, ref FROM company_domain ORDER BY domain")).all() == [
            ("acme.example", "hubspot:company:1"),
            ("bee.example", "hubspot:contact:1"),
        ]
        of_deals = text("SELECT company FROM record WHERE kind = 'opportunity'")
        assert connection.execute(of_deals).scalar() == "salesforce:Account:001"
    engine.dispose()


def test_records_kept_before_are_known_since_their_oldest_form_and_found_by_former_names(database_url):
    engine = create_engine(database_url)
    config = migrations()
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0006")
        lite = connection.dialect.name == "sqlite"
        false, moment = (
            "0" if lite else "false",
            time_to_db(datetime(2026, 11, 20, tzinfo=UTC), connection.dialect.name),
        )
        acme, bee = "hubspot:company:1", "hubspot:company:2"
        for ref, body in (
            ("hubspot:contact:1", {"company": bee, "changed_at": "2026-11-19T00:00:00+00:00"}),
            ("hubspot:contact:2", {"company": None, "changed_at": "2026-11-18T12:00:00+00:00"}),
            ("hubspot:contact:3", {"company": None}),
        ):
            connection.execute(
                text(
                    "INSERT INTO record (ref, kind, vendor_id, body, vendor, state, first_load, changed_at,"
                    f" observed_at) VALUES (:ref, 'person', '1', :body, '{{}}', 'live', {false}, :at, :at)"
                ),
                {"ref": ref, "body": json.dumps(body), "at": moment},
            )
        for company, at in ((acme, "2026-11-02T00:00:00+00:00"), (bee, "2026-11-10T00:00:00+00:00")):
            connection.execute(
                text(
                    "INSERT INTO past_record (ref, body, known_until) VALUES ('hubspot:contact:1', :body, :at)"
                ),
                {"body": json.dumps({"company": company, "changed_at": at}), "at": moment},
            )
        connection.execute(
            text(
                "INSERT INTO audit (at, actor, act, subject, detail) VALUES (:at, 'Eva', 'review join', :pair, '{}')"
            ),
            {"at": moment, "pair": "hubspot:contact:1 hubspot:contact:2"},
        )
    upgrade(database_url)
    with engine.begin() as connection:
        known = connection.execute(select(RECORD.c.ref, RECORD.c.known_at).order_by(RECORD.c.ref)).all()
        assert [(ref[-1], at.day) for ref, at in known] == [("1", 2), ("2", 18), ("3", 20)]
        assert connection.execute(text("SELECT name, ref FROM former")).all() == [(acme, "hubspot:contact:1")]
        about = connection.execute(text("SELECT ref, line FROM audit_about ORDER BY ref")).all()
        assert about == [("hubspot:contact:1", 1), ("hubspot:contact:2", 1)]
    engine.dispose()


def test_upgrading_twice_is_harmless(database_url):
    assert upgrade(database_url) == upgrade(database_url) == HEAD


def test_a_schema_newer_than_the_code_is_refused(database_url):
    upgrade(database_url)
    engine = create_engine(database_url)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    engine.dispose()
    with pytest.raises(FixConfig, match="9999, newer than"):
        open_ledger(database_url)


def test_a_database_without_a_ledger_is_not_made_one_when_it_must_exist(database_url):
    with pytest.raises(FixConfig, match=r"no ledger yet|There is no database"):
        open_ledger(database_url, create=False)


async def test_an_existing_ledger_opens_without_being_created(database_url):
    upgrade(database_url)
    ledger = open_ledger(database_url, create=False)
    assert await ledger.runs() == []
    await ledger.close()


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("not a url", "cannot be read"),
        ("mysql://db.example/ledger", "`mysql`, which the ledger cannot use"),
        ("sqlite:////no/such/folder/ledger.db", "does not exist"),
        ("postgresql+psycopg://somebody:pa55word@127.0.0.1:9/ledger", "cannot be reached"),
    ],
)
def test_a_wrong_database_url_says_what_to_change(url, says):
    with pytest.raises(FixConfig, match=says) as caught:
        open_ledger(url)
    assert caught.value.where == "CONNECTOR_DATABASE_URL"
    assert caught.value.next_step
    assert "pa55word" not in str(caught.value)


def test_a_file_that_is_no_database_is_a_configuration_error(tmp_path):
    (tmp_path / "ledger.db").write_bytes(b"this is a letter to a friend\n" * 100)
    with pytest.raises(FixConfig, match="not a database"):
        open_ledger(f"sqlite:///{tmp_path / 'ledger.db'}")


def test_a_folder_that_cannot_be_written_is_a_configuration_error(tmp_path, monkeypatch):
    real = os.access
    monkeypatch.setattr(
        os, "access", lambda path, mode: False if Path(path) == tmp_path else real(path, mode)
    )
    with pytest.raises(FixConfig, match="cannot be written"):
        open_ledger(f"sqlite:///{tmp_path / 'ledger.db'}")


async def test_a_ledger_in_memory_works_as_long_as_it_is_open():
    ledger = open_ledger("sqlite://")
    assert await ledger.runs() == []
    await ledger.close()
    await ledger.close()
