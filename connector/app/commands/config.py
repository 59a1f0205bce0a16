"""`connector config`: the definition from one pair of accounts to another, names in place of ids."""

from __future__ import annotations

import io
import shlex
import tempfile
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import orjson
from ruamel.yaml import YAML

from connector import __version__
from connector.app import exits
from connector.app.checking import live_schemas
from connector.app.commands.check import mapping_of
from connector.app.definition import load_definition, read_files
from connector.app.files import write_texts
from connector.app.log import configure
from connector.app.output import out, print_json, to_json
from connector.app.running import run
from connector.app.settings import Settings, load_settings, variables_of
from connector.app.wiring import SystemClock, connect, plugins, token_store
from connector.core.mapping import CrmMapping
from connector.errors import ConnectorError, FixConfig
from connector.insight.portable import Gap, Side, compare, one_sided, to_ids, to_names
from connector.ledger import SqlLedger, open_ledger
from connector.ports import Adapter, Named, Plugin, TokenStore

MANIFEST = "manifest.json"
FORMAT = 1
BIGGEST = 10_000_000  # bytes of an unpacked file; a definition is a few hundred thousand


# --------------------------------------------------------------------------------------------------------- export


def config_export(target: Path, *, mappings: Path | None, json: bool) -> int:
    """Exit 0 when no id of this account is left in it, 3 when some had to stay."""
    settings = load_settings()
    configure(settings)
    _refuse_present(target)
    texts, version, left, unnamed = run(_exported(settings, mappings or settings.mappings_dir))
    manifest = {
        "format": FORMAT,
        "connector": __version__,
        "made_at": SystemClock().now(),
        "left": {crm: [asdict(gap) for gap in gaps] for crm, gaps in left.items()},
        "ids_kept": unnamed,
    }
    _pack(target, {**texts, MANIFEST: to_json(manifest) + "\n"})
    gaps = sum(map(len, left.values()))
    if json:
        print_json({"target": str(target), "version": version, "files": sorted(texts), **manifest})
    else:
        source = f"version {version}" if version else "the files (no version is in force yet)"
        out.print(f"wrote {target}: {len(texts)} files of {source}", markup=False)
        for crm in unnamed:
            out.print(f"{crm} is not connected: its file is as it was, ids included.", markup=False)
        _print_gaps(left)
    return exits.LOOK if gaps or unnamed else exits.OK


async def _exported(
    settings: Settings, folder: Path
) -> tuple[dict[str, str], int | None, dict[str, list[Gap]], list[str]]:
    ledger = open_ledger(settings.database_url)
    try:
        kept = await ledger.files()
        texts = dict(kept or load_definition(folder, plugins()).texts)
        left, unnamed = await _translated(texts, to_names, settings, ledger)
        return texts, (await ledger.version() if kept else None), left, unnamed
    finally:
        await ledger.close()


def _refuse_present(target: Path) -> None:
    empty = target.is_dir() and not any(target.iterdir())
    if target.exists() and not (empty and target.suffix != ".zip"):
        raise FixConfig(
            f"{target} is there already.", next_step="Name a new folder or .zip; nothing was written."
        )


def _pack(target: Path, texts: Mapping[str, str]) -> None:
    if target.suffix != ".zip":
        write_texts(target, texts)
        return
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(target, "x", zipfile.ZIP_DEFLATED) as archive:
            for name in sorted(texts):
                archive.writestr(name, texts[name])
    except OSError as error:
        raise FixConfig(
            f"{target} cannot be written: {error.strerror}.", next_step="Name a place you may write to."
        ) from error


# --------------------------------------------------------------------------------------------------------- import


def config_import(source: Path, *, partial: bool, overwrite: bool, mappings: Path | None, json: bool) -> int:
    """Exit 0: complete and written. 2: names lead nowhere here, nothing was written. 3: written with such names."""
    settings = load_settings()
    configure(settings)
    folder = mappings or settings.mappings_dir
    texts = _unpack(source)
    gaps, kept = run(_resolved(settings, texts))
    count = sum(map(len, gaps.values()))
    written: list[str] = []
    if not count or partial:
        _refuse_invalid(texts)
        written = _place(folder, texts, overwrite=overwrite)
    if json:
        print_json(
            {
                "folder": str(folder),
                "written": written,
                "gaps": {crm: [asdict(gap) for gap in each] for crm, each in gaps.items()},
                "not_connected": kept,
            }
        )
    else:
        _print_gaps(gaps)
        for crm in kept:
            out.print(f"{crm} is not connected: the names in its file stay names.", markup=False)
        for name in written:
            out.print(f"wrote {folder / name}", markup=False)
        if count and not partial:
            out.print(
                "Nothing was written. Make what is missing in the account, correct the names in the export, or"
                " write it all the same with --partial.",
                markup=False,
            )
        else:
            out.print("Next: `connector check`, then `connector sync --plan-only`.", markup=False)
    if count and not partial:
        return exits.WRONG_CONFIG
    return exits.LOOK if count or kept else exits.OK


async def _resolved(settings: Settings, texts: dict[str, str]) -> tuple[dict[str, list[Gap]], list[str]]:
    ledger = open_ledger(settings.database_url)
    try:
        return await _translated(texts, to_ids, settings, ledger)
    finally:
        await ledger.close()


async def _translated(
    texts: dict[str, str],
    translate: Callable[[Any, Sequence[Named]], list[Gap]],
    settings: Settings,
    ledger: SqlLedger,
) -> tuple[dict[str, list[Gap]], list[str]]:
    """Ids to names or names to ids, in place, in the mapping of each CRM that can be asked. What had to stay, and the
    CRMs that are not connected: their texts are as they were."""
    gaps: dict[str, list[Gap]] = {}
    kept: list[str] = []
    for plugin, name in _mapped(texts):
        catalog = await _catalog(plugin, settings, ledger)
        if catalog is None:
            kept.append(plugin.crm)
            continue
        document = _yaml().load(texts[name])
        before = _dumped(document)
        gaps[plugin.crm] = translate(document, catalog)
        if _dumped(document) != before:
            texts[name] = _dumped(document)
    return gaps, kept


def _unpack(source: Path) -> dict[str, str]:
    """The files of an export, by name. FixConfig for what is none, or would lead out of the folder."""
    try:
        if source.is_dir():
            raw = {
                str(path.relative_to(source)): path.read_bytes()
                for path in source.rglob("*")
                if path.is_file()
            }
        else:
            with zipfile.ZipFile(io.BytesIO(source.read_bytes())) as archive:
                if any(each.file_size > BIGGEST for each in archive.infolist()):
                    raise FixConfig(f"{source} holds a file that is too big for a definition.")
                raw = {each.filename: archive.read(each) for each in archive.infolist() if not each.is_dir()}
        texts = {name: data.decode("utf-8") for name, data in raw.items()}
        manifest = orjson.loads(texts.pop(MANIFEST))
    except (OSError, zipfile.BadZipFile, UnicodeDecodeError, KeyError, orjson.JSONDecodeError) as error:
        raise FixConfig(
            f"{source} is no export of a definition ({type(error).__name__}).",
            next_step="Make one with `connector config export`.",
        ) from error
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise FixConfig(
            f"{source} was made by a version of the connector that this one does not know.",
            next_step="Export again with this version.",
        )
    for name in texts:
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts or path.suffix not in (".yaml", ".csv"):
            raise FixConfig(f"{source} holds {name}, which is no part of a definition.")
    return texts


def _refuse_invalid(texts: Mapping[str, str]) -> None:
    """Nothing that would not load is put in the place of something that does."""
    with tempfile.TemporaryDirectory() as folder:
        write_texts(Path(folder), texts)
        problems = read_files(Path(folder), plugins()).problems
    if problems:
        raise FixConfig(
            f"{len(problems)} problem(s) in the definition; nothing was written.",
            next_step="Correct them in the export.",
            problems=problems,
        )


def _place(folder: Path, texts: Mapping[str, str], *, overwrite: bool) -> list[str]:
    differ = [
        name
        for name, text in texts.items()
        if (folder / name).exists() and (folder / name).read_text(encoding="utf-8") != text
    ]
    if differ and not overwrite:
        raise FixConfig(
            f"{folder} already holds another {', '.join(sorted(differ)[:3])}{' ...' if len(differ) > 3 else ''}.",
            next_step="Replace them with --overwrite, or name another folder with --mappings; nothing was written.",
        )
    write_texts(folder, texts)
    return sorted(texts)


# ---------------------------------------------------------------------------------------------------------- check


@dataclass(slots=True)
class Compared:
    """Both accounts of a CRM side by side."""

    gaps: list[Gap] = field(default_factory=list)
    only_here: list[Named] = field(default_factory=list)
    only_there: list[Named] = field(default_factory=list)
    error: str | None = None


def config_check(against: Path, *, mappings: Path | None, json: bool) -> int:
    """Exit 2 when something that the mappings name is in one of the accounts only."""
    settings = load_settings()
    configure(settings)
    other = read_environment(against)
    folder = mappings or settings.mappings_dir
    found = run(_compared(settings, folder, other))
    if not found:
        raise FixConfig(
            "No CRM is connected in both environments.",
            next_step=f"Set the credentials of one here, and of the same one in {against}.",
        )
    if json:
        print_json({"crms": {crm: asdict(each) for crm, each in found.items()}})
    else:
        for crm, each in found.items():
            count = len(each.gaps)
            out.print(f"{crm}: {each.error or f'{count} gap' + ('' if count == 1 else 's')}", markup=False)
            _print_gaps({crm: each.gaps})
            for side, things in (("here", each.only_here), ("there", each.only_there)):
                for named in things:
                    out.print(f"  only {side}: {named.kind} {named.label or named.name}", markup=False)
    return exits.WRONG_CONFIG if any(each.gaps or each.error for each in found.values()) else exits.OK


async def _compared(settings: Settings, folder: Path, other: Mapping[str, str]) -> dict[str, Compared]:
    found: dict[str, Compared] = {}
    ledger = open_ledger(settings.database_url)
    try:
        for plugin in plugins().values():
            here, there = variables_of(plugin.variables), variables_of(plugin.variables, other)
            if not plugin.connected(here) or not plugin.connected(there):
                continue
            each = found[plugin.crm] = Compared()
            try:
                mapping = mapping_of(plugin, folder)
                document = _yaml().load((folder / f"{plugin.crm}.yaml").read_text(encoding="utf-8"))
                tokens = token_store(settings, ledger, SystemClock())
                # The other environment's tokens have no place in this ledger.
                ours = await _side(plugin, here, mapping, ledger, tokens)
                theirs = await _side(plugin, there, mapping, None, None)
            except ConnectorError as error:
                each.error = str(error)
                continue
            each.gaps = compare(mapping, document, ours, theirs)
            each.only_here, each.only_there = one_sided(ours.catalog, theirs.catalog)
    finally:
        await ledger.close()
    return found


async def _side(
    plugin: Plugin,
    variables: Mapping[str, str],
    mapping: CrmMapping,
    ledger: SqlLedger | None,
    tokens: TokenStore | None,
) -> Side:
    adapter: Adapter = await connect(plugin, variables, SystemClock(), ledger, tokens)
    try:
        await adapter.account()
        schemas, _ = await live_schemas(adapter, mapping)
        return Side(schemas, await adapter.catalog())
    finally:
        await adapter.close()


def read_environment(path: Path) -> dict[str, str]:
    """A file of `NAME=VALUE` lines, as `connector sandbox` prints them. Values are never shown. Raises FixConfig."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise FixConfig(
            f"{path} cannot be read ({type(error).__name__}).", next_step="Check the path."
        ) from error
    found: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        text = line.strip().removeprefix("export ").strip()
        if not text or text.startswith("#"):
            continue
        name, equals, value = text.partition("=")
        try:
            words = shlex.split(value)
        except ValueError:
            words = [value]
        if not equals or not name.isidentifier() or len(words) > 1:
            raise FixConfig(
                f"Line {number} of {path} is not NAME=VALUE.", next_step="Quote a value that holds spaces."
            )
        found[name] = words[0] if words else ""
    return found


# --------------------------------------------------------------------------------------------------------- common


def _mapped(texts: Mapping[str, str]) -> Sequence[tuple[Plugin, str]]:
    return [(plugin, f"{plugin.crm}.yaml") for plugin in plugins().values() if f"{plugin.crm}.yaml" in texts]


async def _catalog(plugin: Plugin, settings: Settings, ledger: SqlLedger) -> Sequence[Named] | None:
    """Everything of the connected account that a mapping may name; None where no account is connected."""
    variables = variables_of(plugin.variables)
    if not plugin.connected(variables):
        return None
    clock = SystemClock()
    adapter = await connect(plugin, variables, clock, ledger, token_store(settings, ledger, clock))
    try:
        await adapter.account()
        return await adapter.catalog()
    finally:
        await adapter.close()


def _print_gaps(gaps: Mapping[str, Sequence[Gap]]) -> None:
    for crm, each in gaps.items():
        for gap in each:
            hint = f"; nearest: {gap.nearest}" if gap.nearest else ""
            out.print(f"  {crm}: {gap.where}: {gap.kind} `{gap.name}` {gap.what}{hint}", markup=False)


def _yaml() -> YAML:
    """As the shipped files are written, so that a changed one differs in little."""
    yaml = YAML(typ="rt")
    yaml.preserve_quotes = True
    yaml.width = 120
    yaml.indent(mapping=2, sequence=4, offset=2)
    return yaml


def _dumped(document: Any) -> str:
    text = io.StringIO()
    _yaml().dump(document, text)
    return text.getvalue()
