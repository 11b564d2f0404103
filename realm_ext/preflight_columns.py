"""The columns of a run's files: which types they may have, and how nested ones are taken apart.

Arrow gives one value many types (text as string, large_string, string_view or dictionary; a column that is null in every
row as null). The checks of `realm_ext.preflight_rows` see plain ones.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

MEDIA = ("image", "image_url", "video", "video_url", "audio", "audio_url", "input_audio")
"""What a part of a message's content may be, other than text."""


def schema_fault(schema: pa.Schema, prompt_key: str) -> str | None:
    """Why a file with these columns cannot be a run's data; None: it can, with or without routes."""
    missing = [name for name in (prompt_key, "data_source", "reward_model") if name not in schema.names]
    if missing:
        return f"column {', '.join(missing)} is missing; found {', '.join(schema.names)}"
    prompt = schema.field(prompt_key).type
    if not is_list(prompt):
        return f"column {prompt_key} must be a list of chat messages, found {prompt}"
    if _wrong_fields(
        prompt.value_type, {"role": is_text, "content": _is_content}, needed=("role", "content")
    ):
        return f"column {prompt_key} must be a list of chat messages with role and content, found {prompt}"
    reward_model = schema.field("reward_model").type
    if not has_child(reward_model, "ground_truth"):
        return f"column reward_model must be a struct with ground_truth, found {reward_model}"
    if "extra_info" not in schema.names or pa.types.is_null(schema.field("extra_info").type):
        return None
    info = schema.field("extra_info").type
    if not pa.types.is_struct(info):
        return f"column extra_info must be a struct, found {info}"
    return _info_fault(info) if has_child(info, "routes") else None


def _info_fault(info: pa.DataType) -> str | None:
    """What is wrong with the type of `extra_info` where it holds routes."""
    routes = info.field("routes").type
    if not is_list(routes) or not pa.types.is_struct(routes.value_type):
        return (
            f"extra_info.routes must be a list of structs, found {routes}; write it with the explicit schema"
        )
    fields = {
        "steps": _is_steps,
        "answer": is_text,
        "label": _is_flag,
        "sound": _is_flag,
        "first_error": _is_flag,
    }
    lacking = [name for name in ("steps", "answer", "label") if not has_child(routes.value_type, name)]
    if lacking:
        return f"extra_info.routes lacks the field {', '.join(lacking)}"
    if wrong := _wrong_fields(routes.value_type, fields):
        kind = routes.value_type.field(wrong[0]).type
        return f"extra_info.routes has {wrong[0]} of type {kind}; docs/train.md, section Data, says what it holds"
    if not has_child(info, "uid"):
        return "extra_info has routes but no uid (the row's content hash), from which all draws are made"
    if wrong := _wrong_fields(info, {"uid": is_text, "regime": is_text}):
        return f"extra_info.{wrong[0]} must be a text, found {info.field(wrong[0]).type}"
    return None


def _wrong_fields(
    kind: pa.DataType, fields: Mapping[str, Callable[[pa.DataType], bool]], needed: tuple[str, ...] = ()
) -> list[str]:
    """Fields of a struct that are not of the type they must have, or are needed and not there."""
    there = {name for name in fields if has_child(kind, name)}
    wrong = [
        name for name, is_right in fields.items() if name in there and not is_right(kind.field(name).type)
    ]
    return [name for name in needed if name not in there] + wrong


def has_child(kind: pa.DataType, name: str) -> bool:
    """Whether a type is a struct with this field."""
    return bool(pa.types.is_struct(kind) and kind.get_field_index(name) >= 0)


def is_list(kind: pa.DataType) -> bool:
    """Whether a column of this type holds lists."""
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind))


def is_text(kind: pa.DataType) -> bool:
    """Whether a column of this type holds texts, or nothing but nulls."""
    types = pa.types
    if types.is_dictionary(kind):
        return is_text(kind.value_type)
    return bool(
        types.is_string(kind)
        or types.is_large_string(kind)
        or types.is_string_view(kind)
        or types.is_null(kind)
    )


def is_number(kind: pa.DataType) -> bool:
    """Whether a column of this type holds whole or broken numbers."""
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))


def _is_flag(kind: pa.DataType) -> bool:
    return bool(pa.types.is_boolean(kind) or is_number(kind) or pa.types.is_null(kind))


def _is_steps(kind: pa.DataType) -> bool:
    return is_list(kind) and is_text(kind.value_type)


def _is_content(kind: pa.DataType) -> bool:
    return is_text(kind) or (is_list(kind) and pa.types.is_struct(kind.value_type))


def child(array: pa.Array, name: str) -> pa.Array:
    """A field of a struct column; null where the struct is."""
    return pc.struct_field(array, name)


def text(array: pa.Array) -> pa.Array:
    """A column of texts as one that Arrow's text functions take."""
    kind = array.type
    return (
        array if pa.types.is_string(kind) or pa.types.is_large_string(kind) else array.cast(pa.large_string())
    )


def number(array: pa.Array) -> pa.Array:
    """A column of numbers as floats; NaN, which pandas writes for a missing one, as null."""
    floats = array.cast(pa.float64(), safe=False)
    return pc.if_else(pc.is_nan(floats), None, floats)


def parents(array: pa.Array) -> Any:
    """For each value of `array.flatten()` the number of the list it stands in."""
    return pc.list_parent_indices(array).to_numpy(zero_copy_only=False)


def mask(array: pa.Array) -> Any:
    """A column of booleans as numpy's; null counts as false."""
    return pc.fill_null(array, False).to_numpy(zero_copy_only=False)


def either(one: pa.Array, other: pa.Array) -> pa.Array:
    """Whether one of two columns of booleans is true."""
    return pc.or_kleene(one, other)


def is_filled(array: pa.Array) -> Any:
    """Where a column holds something: no null, and no empty list."""
    there = mask(pc.is_valid(array))
    return there & mask(pc.greater(pc.list_value_length(array), 0)) if is_list(array.type) else there


def content_lengths(content: pa.Array) -> tuple[Any, Any, Any]:
    """Of the content of each message: characters without blanks at its ends, all characters, whether it holds media.

    Content is text, or a list of parts with `type` and `text`.
    """
    if is_text(content.type):
        texts = text(content)
        return _characters(pc.utf8_trim_whitespace(texts)), _characters(texts), np.zeros(len(texts), bool)
    parts, message = content.flatten(), parents(content)
    has_media: Any = np.zeros(len(content), bool)
    if has_child(parts.type, "type"):
        kinds = text(child(parts, "type"))
        has_media[message[mask(pc.is_in(kinds, value_set=pa.array(MEDIA, kinds.type)))]] = True
    if not has_child(parts.type, "text"):
        return np.zeros(len(content)), np.zeros(len(content)), has_media
    trimmed, full, _ = content_lengths(child(parts, "text"))
    return np.bincount(message, trimmed, len(content)), np.bincount(message, full, len(content)), has_media


def _characters(texts: pa.Array) -> Any:
    return pc.fill_null(pc.utf8_length(texts), 0).to_numpy(zero_copy_only=False)
