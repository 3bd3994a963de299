"""Check the command line before Hydra reads it, and name the nearest valid spelling."""

from collections.abc import Collection, Iterator, Sequence
from difflib import get_close_matches
from functools import lru_cache
from pathlib import Path

from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, Glob, Override, OverrideType
from hydra.errors import HydraException
from omegaconf import OmegaConf

CONFIG_NAME = "config"


def check_overrides(argv: Sequence[str], conf_dir: Path, config_name: str = CONFIG_NAME) -> None:
    """Raise on the first override that names no config group, option or key.

    Parameters
    ----------
    argv : Sequence[str]
        Command line without the program name. Flags (``-m``, ``--cfg job``), deletions
        (``~key``), additions (``+key=1``, ``++key=1``) and Hydra's own ``hydra.*`` keys pass;
        an option of a config group is checked in every form.
    conf_dir : Path
        Folder with the main configuration and one subfolder per config group.
    config_name : str (default: "config")
        File of the main configuration, without its suffix.

    Raises
    ------
    ValueError
        If an override cannot be read, or names an unknown option or an unknown key. In a sweep
        over groups each option is composed at least once, so a key must exist under all of them.
    """
    overrides = [parsed for parsed in _parse(argv) if not _is_hydras(parsed)]
    groups = [o for o in overrides if (conf_dir / o.key_or_group).is_dir()]
    for group in groups:
        _check_options(group, _options(conf_dir / group.key_or_group))
    changes = [o for o in overrides if o not in groups and o.type is OverrideType.CHANGE]
    if changes:
        for choices in _choices(groups, conf_dir):
            _check_keys(changes, choices, conf_dir, config_name)


def _parse(argv: Sequence[str]) -> Iterator[Override]:
    parser = OverridesParser.create()
    for previous, argument in zip(["", *argv], argv, strict=False):
        flag_value = previous.startswith("-") and "=" not in argument
        if argument.startswith("-") or flag_value:
            continue
        try:
            override = parser.parse_override(argument)
        except HydraException:
            override = None
        if override is None or not override.key_or_group:
            raise ValueError(
                f"cannot read override {argument!r}: write key=value, "
                "with quotes around a value that has spaces or special characters"
            )
        yield override


def _is_hydras(override: Override) -> bool:
    return override.key_or_group.replace("/", ".").split(".")[0] == "hydra"


def _options(group_dir: Path) -> list[str]:
    files = group_dir.rglob("*.yaml")
    return sorted(file.relative_to(group_dir).with_suffix("").as_posix() for file in files)


def _check_options(group: Override, options: Collection[str]) -> None:
    for name in _names(group.value()):
        if name not in options:
            raise ValueError(
                f"unknown {group.key_or_group} {name!r}: "
                f"{nearest(name, options)}valid: {', '.join(options)}"
            )


def _names(value: object) -> Iterator[str]:
    match value:
        case None | Glob():
            return
        case ChoiceSweep(list=values) | list(values):
            for item in values:
                yield from _names(item)
        case _:
            yield str(value)


def nearest(name: str, valid: Collection[str]) -> str:
    """Return the question whether the nearest valid name is meant; empty if none is near."""
    matches = get_close_matches(name, valid, n=1)
    return f"did you mean {matches[0]!r}? " if matches else ""


def _choices(groups: Sequence[Override], conf_dir: Path) -> Iterator[list[str]]:
    """Yield group overrides without sweeps, so few that each option occurs at least once."""
    columns = [_unswept(group, conf_dir) for group in groups]
    for row in range(max(map(len, columns), default=1)):
        yield [column[row % len(column)] for column in columns if column]


def _unswept(group: Override, conf_dir: Path) -> list[str]:
    value = group.value()
    if isinstance(value, Glob):
        options = value.filter(_options(conf_dir / group.key_or_group))
        return [f"{group.get_key_element()}={option}" for option in options]
    if isinstance(value, ChoiceSweep):
        options = [str(option) for option in group.sweep_string_iterator()]
        return [f"{group.get_key_element()}={option}" for option in options]
    return [str(group.input_line)]


def _check_keys(
    changes: Sequence[Override], choices: Sequence[str], conf_dir: Path, config_name: str
) -> None:
    valid = _valid_keys(tuple(choices), conf_dir, config_name)
    if valid is None:
        return  # Hydra explains a failed composition well and will meet the same one
    known = valid | {d.relative_to(conf_dir).as_posix() for d in conf_dir.rglob("*") if d.is_dir()}
    for key in (change.key_or_group for change in changes):
        if key not in valid:
            chosen = f" (with {' '.join(choices)})" if choices else ""
            hint = nearest(key, known) or f"valid: {', '.join(sorted(valid))}"
            raise ValueError(f"unknown config key {key!r}{chosen}: {hint.strip()}")


# Putting the files together takes a tenth of a second; a suite has a hundred lines to check.
@lru_cache(maxsize=1024)
def _valid_keys(
    choices: tuple[str, ...], conf_dir: Path, config_name: str
) -> frozenset[str] | None:
    try:
        with initialize_config_dir(config_dir=str(conf_dir.resolve()), version_base=None):
            config = compose(config_name, overrides=list(choices))
    except HydraException:
        return None
    return frozenset(_paths(OmegaConf.to_container(config)))


def _paths(node: object, prefix: str = "") -> Iterator[str]:
    """Yield the dotted path of every node below `node`, inner nodes included."""
    match node:
        case dict():
            children = list(node.items())
        case list():
            children = list(enumerate(node))
        case _:
            return
    for name, child in children:
        yield f"{prefix}{name}"
        yield from _paths(child, f"{prefix}{name}.")
