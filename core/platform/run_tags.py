"""Base class of typed records for the tags of runs and registered versions.

Each subject defines its own records next to the steps that write them. A field of a record is the
tag `courtside.<field>`, which is spelled nowhere else.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, PlainSerializer, ValidationError

from core.platform.messages import Words, dumps, loads

if TYPE_CHECKING:
    from core.platform.runs import RunInfo

TAG = "courtside."
# what a store takes for a tag
TAG_CHARACTERS = 5000


@dataclass(frozen=True)
class Condition:
    """A tag or parameter that a run must have, with this value or with another one.

    Examples
    --------
    >>> Condition("params", "source", "production").for_mlflow()
    "params.`source` = 'production'"
    """

    kind: Literal["tags", "params"]
    name: str
    value: str
    sign: Literal["=", "!="] = "="

    def for_mlflow(self) -> str:
        """Return it in the syntax of MLflow's filters."""
        return f"{self.kind}.`{self.name}` {self.sign} '{self.value}'"


Value = TypeVar("Value")
# serialization of fields that are not plain text
Listed = Annotated[
    tuple[str, ...],
    BeforeValidator(lambda value: _listed(value)),
    PlainSerializer(lambda value: _joined(value)),
]
AsJson = Annotated[
    Value,
    BeforeValidator(lambda value: json.loads(value) if _is_text(value) else value),
    PlainSerializer(json.dumps),
]
# a message, or a plain text of earlier versions
AsMessage = Annotated[
    Words,
    BeforeValidator(lambda value: loads(value) if _is_text(value) else value),
    PlainSerializer(lambda value: _tag_of(value)),
]
Moment = Annotated[float, PlainSerializer("{:.3f}".format)]


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _listed(value: Any) -> Any:
    """Return the items of a tag, or of several where one would be too long."""
    if isinstance(value, Mapping):
        value = "".join(text for _, text in sorted(value.items()))
    if not isinstance(value, str):
        return value
    return json.loads(value) if value.startswith("[") else [*filter(None, value.split(","))]


def _joined(items: tuple[str, ...]) -> str:
    """Return items for a tag: with commas between them, as JSON where an item has one."""
    if any("," in item or item.startswith("[") for item in items):
        return json.dumps(items, ensure_ascii=False)
    return ",".join(items)


def _tag_of(words: Words) -> str:
    """Return words for a tag; too long ones as a text that is cut off."""
    text = dumps(words)
    return text if len(text) <= TAG_CHARACTERS else str(words)[:TAG_CHARACTERS]


class RunTags(BaseModel):
    """The base of all tag records: frozen, unknown fields are refused.

    Examples
    --------
    >>> class Trial(RunTags):
    ...     fold: int | None = None
    ...     columns: Listed = ()
    ...     is_short: bool = False
    >>> Trial(columns=("lat", "lon"), is_short=True).write()
    {'courtside.columns': 'lat,lon', 'courtside.is_short': 'true'}
    >>> Trial.read({"courtside.fold": "3", "courtside.columns": "lat", "mlflow.user": "ann"})
    Trial(fold=3, columns=('lat',), is_short=False)
    >>> Trial.read(Trial(columns=("a, b", "c")).write()).columns
    ('a, b', 'c')
    """

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    @classmethod
    def of(cls, run: RunInfo) -> Self:
        """Read the tags of a run."""
        return cls.read(run.tags)

    @classmethod
    def read(cls, tags: Mapping[str, str]) -> Self:
        """Parse tags; a missing or unreadable tag gives the field's default."""
        given: dict[str, Any] = {}
        for tag, text in tags.items():
            name, dot, key = tag.removeprefix(TAG).partition(".")
            if not tag.startswith(TAG) or name not in cls.model_fields:
                continue
            if dot:
                given.setdefault(name, {})[key] = text
            else:
                given[name] = text
        try:
            return cls.model_validate(given)
        except ValidationError as error:
            unreadable = {fault["loc"][0] for fault in error.errors()}
            return cls.model_validate(
                {name: text for name, text in given.items() if name not in unreadable}
            )

    def write(self) -> dict[str, str]:
        """Return the tags of the fields that were set; a mapping has a tag per key.

        Examples
        --------
        >>> class Files(RunTags):
        ...     sha256: dict[str, str] = {}
        ...     note: str | None = None
        >>> Files(sha256={"a.csv": "97f0"}, note=None).write()
        {'courtside.sha256.a.csv': '97f0'}
        >>> Files.read({"courtside.sha256.a.csv": "97f0"}).sha256
        {'a.csv': '97f0'}
        """
        tags: dict[str, str] = {}
        for name, value in self.model_dump(exclude_unset=True).items():
            if isinstance(value, Mapping):
                tags |= {f"{TAG}{name}.{key}": str(item) for key, item in value.items()}
            elif isinstance(getattr(self, name), tuple) and len(value) > TAG_CHARACTERS:
                for start in range(0, len(value), TAG_CHARACTERS):
                    part = f"{TAG}{name}.{start // TAG_CHARACTERS:03d}"
                    tags[part] = value[start : start + TAG_CHARACTERS]
            elif value is not None:
                text = str(value)
                tags[TAG + name] = text.lower() if isinstance(value, bool) else text
        return tags

    @classmethod
    def where(cls, sign: Literal["=", "!="] = "=", /, **fields: object) -> list[Condition]:
        """Return conditions for `matching` of `tracking.runs`; None sets no condition.

        Examples
        --------
        >>> class Decision(RunTags):
        ...     decision: str = ""
        >>> Decision.where("!=", decision="hold")
        [Condition(kind='tags', name='courtside.decision', value='hold', sign='!=')]
        """
        conditions = {name: value for name, value in fields.items() if value is not None}
        tags = cls.model_validate(conditions).write()
        return [Condition("tags", tag, text, sign) for tag, text in tags.items()]
