"""`connector init`: write the shipped mappings and criteria as a starter."""

from __future__ import annotations

import shutil
from pathlib import Path

from connector.app.exits import OK
from connector.app.output import out, print_json
from connector.errors import FixConfig


def shipped() -> Path:
    """The mappings that come with the product: inside the installed package, or beside it in a checkout."""
    package = Path(__file__).resolve().parents[2]
    for folder in (package / "starter", package.parent / "mappings"):
        if (folder / "criteria.yaml").is_file():
            return folder
    raise FixConfig(
        "The shipped mappings are missing from this installation.", next_step="Install the package again."
    )


def init(folder: Path, *, json: bool) -> int:
    """Copy the starter files. Refuses to touch a file that is already there."""
    source = shipped()
    files = sorted(path.relative_to(source) for path in source.rglob("*") if path.is_file())
    present = [str(path) for path in files if (folder / path).exists()]
    if present:
        raise FixConfig(
            f"{folder} already holds {', '.join(present[:3])}{' ...' if len(present) > 3 else ''}.",
            next_step="Name another folder; nothing was written.",
        )
    try:
        for path in files:
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source / path, folder / path)
    except OSError as error:
        raise FixConfig(
            f"{folder} cannot be written: {error.strerror}.", next_step="Name a folder you may write to."
        ) from error
    if json:
        print_json({"folder": str(folder), "files": [str(path) for path in files]})
    else:
        for path in files:
            out.print(f"wrote {folder / path}")
        where = "" if folder == Path("mappings") else f"set CONNECTOR_MAPPINGS_DIR to {folder}, "
        out.print(
            f"Next: {where}set the credentials (docs/how-to), then `connector check` and `connector sync --plan-only`.",
            markup=False,
        )
    return OK
