"""Clients for one HTTP connection each, and what an endpoint's address and headers may be."""

import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

import httpx2

from textreel.models.endpoint_errors import EndpointConfigError

_log = logging.getLogger("textreel.models")
_LOCAL = {"localhost", "127.0.0.1", "::1"}


class Clients:
    """HTTP clients with one connection each, the one that was used last first.

    The library's own pool looks at all its connections for every request, which at 64 in flight
    costs as much as the rest of a request.
    """

    def __init__(
        self, *, headers: Mapping[str, str], transport: httpx2.AsyncBaseTransport | None
    ) -> None:
        self._headers, self._transport = headers, transport
        self._verify = httpx2.create_ssl_context()
        self._idle: list[httpx2.AsyncClient] = []
        self._all: list[httpx2.AsyncClient] = []

    @asynccontextmanager
    async def one(self) -> AsyncIterator[httpx2.AsyncClient]:
        """Lend a client that nobody else uses meanwhile."""
        client = self._idle.pop() if self._idle else self._new()
        try:
            yield client
        finally:
            self._idle.append(client)

    async def close(self) -> None:
        """Close all connections."""
        for client in self._all:
            await client.aclose()

    def _new(self) -> httpx2.AsyncClient:
        client = httpx2.AsyncClient(
            headers=self._headers, timeout=None, transport=self._transport, verify=self._verify
        )
        self._all.append(client)
        return client


def auth_headers(api_key: str | None) -> dict[str, str]:
    """Return the headers of every request."""
    headers = {"content-type": "application/json"}
    return headers | ({"authorization": f"Bearer {api_key}"} if api_key else {})


def checked_urls(urls: Sequence[str], *, keyed: bool) -> list[str]:
    """Return base URLs without a slash at their end.

    Args:
        urls: as the user gives them.
        keyed: whether a key will be sent to them.

    Raises:
        EndpointConfigError: no URL, or one that holds a password or is none.
    """
    if not urls:
        raise EndpointConfigError("no endpoint is named", hint="give at least one base URL")
    found = []
    for text in urls:
        try:
            url = httpx2.URL(text)
        except httpx2.InvalidURL as error:
            raise EndpointConfigError(f"an endpoint's URL cannot be read: {error}") from error
        if url.scheme not in {"http", "https"} or not url.host:
            raise EndpointConfigError(
                "an endpoint's URL has no http:// or https:// and host",
                hint="such as http://127.0.0.1:8000/v1",
            )
        if url.userinfo or url.query:
            raise EndpointConfigError(
                f"the URL of {url.host} carries a password or a query, which would be written "
                "into logs",
                hint="give the key in an environment variable named by --key-env",
            )
        if keyed and url.scheme == "http" and url.host not in _LOCAL:
            _log.warning("the key travels to %s unencrypted; use https://", url.host)
        found.append(text.rstrip("/"))
    return found
