"""Files of one log have the columns that the settings name, each once: else a part of the log would be read as nothing."""

from collections.abc import Collection, Iterable, Mapping, Sequence

from driftline.contracts import BadInput
from driftline.sources.partitions import PART


def check_columns(knob: str, columns: Mapping[str, Sequence[str]], used: Iterable[str]) -> None:
    """Checks that columns which settings name are in all files, once. `columns`: names by file, of files that have rows. `used`:
    column settings; those that are a bare name are looked at.

    Raises:
        BadInput: a column is in some files and not in others, or twice in one; names the file and what to write.
    """
    named = {written.strip().lower(): written.strip() for written in used}
    lower = {file: [name.lower() for name in names] for file, names in columns.items()}
    for name, written in named.items():
        having = [file for file, names in lower.items() if name in names]
        for file, names in lower.items() if having else ():
            if name not in names:
                raise BadInput(
                    f"{knob}: {file} has no column {written!r}, which {having[0]} has (its columns: {', '.join(columns[file])}): "
                    f"call it alike in all files, or write an expression such as coalesce({written}, other_name)"
                )
            if names.count(name) > 1:
                raise BadInput(
                    f"{knob}: {file} has several columns {written!r}, and which of them is meant cannot be told: rename them"
                )


def check_partitions(knob: str, files: Sequence[str], columns: Collection[str], used: Iterable[str]) -> None:
    """Checks that a partition named by a setting is one of all files. Raises BadInput where only some lie in it; names one."""
    own = {name.lower() for name in columns}
    parts = {file: {name.lower() for name, _ in PART.findall(file)} for file in files}
    for written in used:
        name = written.strip().lower()
        having = [file for file, names in parts.items() if name in names]
        lacking = [file for file, names in parts.items() if name not in names]
        if having and lacking and name not in own:
            raise BadInput(
                f"{knob}: {lacking[0]} lies in no folder {written.strip()}=…, and {having[0]} does: "
                "move it, or name a narrower glob"
            )
