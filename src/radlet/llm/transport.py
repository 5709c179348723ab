"""The wire under the client: counts requests, keeps to the budget, and bounds the time and size of every answer."""

import asyncio

import httpx2

from radlet.llm.endpoint import BudgetConfig, ServerConfig

TOO_LARGE = 413
SPENT = 403


class Budget:
    """What one command has used of its budget."""

    def __init__(self, config: BudgetConfig) -> None:
        self.config = config
        self.num_requests = 0
        self.num_tokens = 0

    @property
    def spent(self) -> bool:
        """Whether nothing more may be asked."""
        requests, tokens = self.config.max_requests, self.config.max_tokens
        return (requests is not None and self.num_requests >= requests) or (
            tokens is not None and self.num_tokens >= tokens
        )


class BoundedTransport(httpx2.AsyncBaseTransport):
    """Sends requests over `inner` within the budget; reads answers whole, within the limits of the server's table.

    What may not be sent or read gets an answer of its own with a status that the client does not try again.
    """

    def __init__(self, server: ServerConfig, budget: Budget, inner: httpx2.AsyncBaseTransport) -> None:
        self._server, self._budget, self._inner = server, budget, inner

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send one request and return its answer, read.

        Raises:
            ReadTimeout: The answer was not complete in time.
        """
        if self._budget.spent:
            return httpx2.Response(SPENT, request=request)
        self._budget.num_requests += 1
        try:
            async with asyncio.timeout(self._server.timeout_s):
                return await self._read(request)
        except TimeoutError:
            raise httpx2.ReadTimeout("the answer was not complete in time", request=request) from None

    async def _read(self, request: httpx2.Request) -> httpx2.Response:
        response = await self._inner.handle_async_request(request)
        body = bytearray()
        try:
            async for chunk in response.stream:  # type: ignore[union-attr]
                body += chunk
                if len(body) > self._server.max_answer_bytes:
                    return httpx2.Response(TOO_LARGE, request=request)
        finally:
            await response.aclose()
        headers = [(name, value) for name, value in response.headers.raw if name.lower() != b"transfer-encoding"]
        return httpx2.Response(response.status_code, headers=headers, content=bytes(body), request=request)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._inner.aclose()
