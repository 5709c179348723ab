"""Where the language model is and how it is asked: the tables of a `structure` recipe, and who may be talked to.

Only this machine, unless the recipe names another host. Nothing here opens a connection; `llm.client` does.
"""

import os
from typing import Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from radlet.core.addresses import is_loopback
from radlet.core.config import Config
from radlet.core.errors import ConfigError, PrivacyError

OutputMode = Literal["json_schema", "json_object", "text"]
_NO_KEY = "none"
"""Sent as the key where a server asks for none; the client refuses to go without."""


class ServerConfig(Config):
    """The server that is asked, and how patiently. Nothing of it changes what is made."""

    url: str = "http://127.0.0.1:8080/v1"
    """Address of the OpenAI-compatible API, with its version path."""
    allow_host: str | None = None
    """Host other than this machine that report text may be sent to; it must be the one in `url`."""
    api_key_env: str | None = None
    """Environment variable that holds the key; the key itself stands in no recipe."""
    num_concurrent: int = Field(default=4, ge=1, le=256)
    """Requests under way at once."""
    timeout_s: float = Field(default=120.0, gt=0)
    """Longest time for one request, from sending it to the last byte of its answer."""
    max_retries: int = Field(default=4, ge=0, le=20)
    """How often a request is sent again after 408, 409, 429, 5xx, a timeout or a lost connection, waiting longer each
    time or as long as the server asks."""
    max_answer_bytes: int = Field(default=1_000_000, ge=1000)
    """A longer answer is not read to its end."""

    @property
    def host(self) -> str:
        """The host part of `url`."""
        return (urlsplit(self.url).hostname or "").lower()

    @property
    def port(self) -> int:
        """The port part of `url`, or the usual one."""
        parts = urlsplit(self.url)
        return parts.port or (443 if parts.scheme == "https" else 80)

    @model_validator(mode="after")
    def _an_address(self) -> Self:
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("url must be http://HOST:PORT/v1 or https://HOST/v1")
        if parts.username or parts.password:
            raise ValueError("url must hold no user name or password; give a key by api_key_env")
        return self


class ModelConfig(Config):
    """The model that is asked, and how it writes."""

    name: str = Field(min_length=1)
    """Name under which the server knows it. Answers are kept by it, so name two models differently."""
    temperature: float = Field(default=0.0, ge=0, le=2)
    """0 is greedy."""
    max_output_tokens: int = Field(default=1024, ge=16)
    """Longest answer, in tokens; one that is cut there is refused."""
    output: OutputMode | Literal["auto"] = "auto"
    """How the form of the answer is asked for: by schema, as any JSON, or in words alone; `auto` tries in this order
    once, at the start."""


class BudgetConfig(Config):
    """When to stop asking; what was answered is kept, and the same command goes on from there."""

    max_requests: int | None = Field(default=None, ge=1)
    """Requests sent by one command, those sent again included."""
    max_tokens: int | None = Field(default=None, ge=1)
    """Tokens read and written by the model in one command."""
    max_failed_share: float = Field(default=0.2, ge=0, le=1)
    """Share of the questions that may stay without any answer, counted from the twentieth on."""


def check_host(server: ServerConfig) -> None:
    """See that text goes to this machine, or to the one host that the recipe allows.

    Raises:
        PrivacyError: The server is elsewhere.
    """
    if is_loopback(server.host) or server.host == (server.allow_host or "").lower():
        return
    raise PrivacyError(
        f"server.url names the host '{server.host}', which is not this machine. Report text leaves the machine only to "
        f'a host that the recipe allows: server.allow_host = "{server.host}".'
    )


def api_key(server: ServerConfig) -> str:
    """Return the key for the server.

    Raises:
        ConfigError: The recipe names an environment variable that is not set.
    """
    if server.api_key_env is None:
        return _NO_KEY
    key = os.environ.get(server.api_key_env, "").strip()
    if not key:
        raise ConfigError(f"server.api_key_env: the environment variable {server.api_key_env} is not set.")
    return key
