"""`connector init`: write the shipped mappings and criteria as a starter. Knows the presets by name."""

from __future__ import annotations

import shutil
from pathlib import Path

from connector.app.definition import CRITERIA
from connector.app.exits import OK
from connector.app.output import out, print_json
from connector.errors import FixConfig

CLASSIC, PRESETS = "classic", "presets"


def shipped() -> Path:
    """The mappings that come with the product: inside the installed package, or beside it in a checkout."""
    package = Path(__file__).resolve().parents[2]
    for folder in (package / "starter", package.parent / "mappings"):
        if (folder / "criteria.yaml").is_file():
            return folder
    raise FixConfig(
        "The shipped mappings are missing from this installation.", next_step="Install the package again."
    )


def presets() -> dict[str, Path]:
    """The three answers to what makes an MQL, by name, from the strictest to the broadest."""
    folder = shipped()
    return {
        "strict": folder / PRESETS / "strict.yaml",
        CLASSIC: folder / CRITERIA,
        "broad": folder / PRESETS / "broad.yaml",
    }


def preset_file(name: str) -> Path:
    """Raises FixConfig where there is no such preset."""
    known = presets()
    if name not in known:
        raise FixConfig(f"There is no preset `{name}`.", next_step=f"There are: {', '.join(known)}.")
    return known[name]


def init(folder: Path, *, preset: str, json: bool) -> int:
    """Copy the starter files. Refuses to touch a file that is already there."""
    source = shipped()
    paths = {
        path.relative_to(source): path
        for path in sorted(source.rglob("*"))
        if path.is_file() and path.parent.name != PRESETS
    }
    paths[Path(CRITERIA)] = preset_file(preset)
    files = list(paths)
    present = [str(path) for path in files if (folder / path).exists()]
    if present:
        raise FixConfig(
            f"{folder} already holds {', '.join(present[:3])}{' ...' if len(present) > 3 else ''}.",
            next_step="Name another folder; nothing was written.",
        )
    try:
        for path in files:
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(paths[path], folder / path)
    except OSError as error:
        raise FixConfig(
            f"{folder} cannot be written: {error.strerror}.", next_step="Name a folder you may write to."
        ) from error
    if json:
        print_json({"folder": str(folder), "preset": preset, "files": [str(path) for path in files]})
    else:
        for path in files:
            out.print(f"wrote {folder / path}")
        where = "" if folder == Path("mappings") else f"set CONNECTOR_MAPPINGS_DIR to {folder}, "
        out.print(
            f"Next: {where}set the credentials (docs/how-to), then `connector check` and `connector sync --plan-only`.",
            markup=False,
        )
    return OK
