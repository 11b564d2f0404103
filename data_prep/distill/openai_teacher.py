"""The teacher `openai`: any endpoint that speaks OpenAI's chat completions, through the `openai` library.

Serves design.md, section Guided CoT distillation, item 2. The library's own retries are off: each try is noted in the
store. Replies are read from the body itself, since servers that are only like OpenAI leave fields out.
"""

import asyncio
import json
import os
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from data_prep.distill.limits import Clock, retry_after
from data_prep.distill.requests import Parameters, Reply, Request
from data_prep.distill.teachers import Malformed, Refused, TryAgain

OPENAI_URL = "https://api.openai.com/v1"
KEY_VARIABLE = "OPENAI_API_KEY"
_FOR_ALL = {401, 402, 403, 404, 405}
_PASSING = {408, 409, 425, 429}


class OpenAITeacher:
    """Asks `base_url` for replies of `model`.

    Args:
        key_variable: name of the environment variable with the API key; the key itself is kept nowhere else.
        timeout: seconds for one try, from sending to the last byte.
        limit_name: how the server calls the limit of completion tokens, `max_tokens` or `max_completion_tokens`.

    Raises:
        ValueError: the address or the key is missing or unusable; says what to do.
    """

    remembers = True

    def __init__(
        self,
        model: str,
        base_url: str,
        parameters: Parameters,
        key_variable: str = KEY_VARIABLE,
        timeout: float = 120.0,
        limit_name: str = "max_tokens",
    ) -> None:
        try:
            import openai
        except ImportError as error:
            raise ValueError(
                "the teacher openai needs the package openai: pip install 'realm[distill]'"
            ) from error
        address = urlsplit(base_url)
        if address.scheme not in ("http", "https") or not address.hostname:
            raise ValueError(f"--base-url is an address such as http://localhost:8000/v1; got {base_url!r}")
        key = os.environ.get(key_variable, "")
        if not key and (key_variable != KEY_VARIABLE or base_url.startswith(OPENAI_URL)):
            raise ValueError(
                f"the environment variable {key_variable} holds no API key; set it, or name another"
            )
        self._openai = openai
        self._key = key
        self._parameters = parameters
        self._limit_name = limit_name
        self._timeout = timeout
        self._clock = Clock()
        self._client = openai.AsyncOpenAI(
            api_key=key or "none", base_url=base_url, timeout=timeout, max_retries=0
        )
        self.model = model
        self.name = f"teacher/{model.rstrip('/').rpartition('/')[2]}"
        place = urlunsplit((address.scheme, address.netloc.rpartition("@")[2], address.path, "", ""))
        self.description: Mapping[str, Any] = {"kind": "openai", "model": model, "base_url": place}

    async def generate(self, request: Request) -> Reply:
        options = {
            name: value
            for name, value in (
                ("temperature", self._parameters.temperature),
                ("top_p", self._parameters.top_p),
                ("seed", request.seed),
                (self._limit_name, self._parameters.max_tokens),
            )
            if value is not None
        }
        try:
            # The library's timeout is between two bytes; a server that drips must end too.
            async with asyncio.timeout(self._timeout):
                raw = await self._client.chat.completions.with_raw_response.create(
                    model=self.model,
                    messages=request.chat,
                    extra_body=dict(self._parameters.extra) or None,
                    **options,
                )
        except TimeoutError as error:
            raise TryAgain("timeout", billed=True) from error
        except self._openai.APITimeoutError as error:
            raise TryAgain("timeout", billed=True) from error
        except self._openai.APIStatusError as error:
            raise self._status_error(error) from error
        except self._openai.APIConnectionError as error:
            # A connection that was refused has cost nothing; one that broke off may have.
            broke_off = "Connect" not in type(error.__cause__).__name__
            raise TryAgain(
                "connection broke off" if broke_off else "cannot connect", billed=broke_off
            ) from error
        except self._openai.OpenAIError as error:
            raise TryAgain(f"the client failed with {type(error).__name__}", billed=True) from error
        return read_body(raw.text)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    def _status_error(self, error: Any) -> Exception:
        status, headers = error.status_code, error.response.headers
        if status in _PASSING or status >= 500:
            return TryAgain(f"HTTP {status}", retry_after(headers, self._clock.date()), busy=status == 429)
        told = error.body.get("message") if isinstance(error.body, Mapping) else None
        said = self._without_key(str(told or error.message))[:300]
        return Refused(f"the server refuses with HTTP {status}: {said}", for_all=status in _FOR_ALL)

    def _without_key(self, text: str) -> str:
        return text.replace(self._key, "(key)") if self._key else text


def read_body(body: str) -> Reply:
    """The reply in the body of a chat completion.

    Raises:
        Malformed: it is none.
    """
    try:
        content = json.loads(body)
    except ValueError as error:
        raise Malformed("reply is not JSON", body) from error
    try:
        choice = content["choices"][0]
        message, finish = choice["message"], choice.get("finish_reason")
        reasoning = _text(message.get("reasoning_content") or message.get("reasoning"))
        text = _text(message.get("content") if reasoning else message["content"])
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        raise Malformed("reply has no message", body) from error
    usage = content.get("usage")
    reply = Reply(
        text,
        finish if isinstance(finish, str) and finish else "stop",
        _count(usage, "prompt_tokens"),
        _count(usage, "completion_tokens"),
        reasoning,
    )
    if reply.is_whole and not reply.content.strip():  # else cut off or withheld: the reason says so
        raise Malformed("reply is empty", body)
    return reply


def _text(value: object) -> str:
    """A text, or a list of parts of which some are texts, as one text."""
    if isinstance(value, list):
        return "".join(_text(part.get("text")) for part in value if isinstance(part, Mapping))
    return value if isinstance(value, str) else ""


def _count(usage: object, name: str) -> int | None:
    value = usage.get(name) if isinstance(usage, Mapping) else None
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None
