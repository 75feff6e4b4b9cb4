"""Creates handlers from what plugins return: functions, and objects that have only `process`."""

from __future__ import annotations

import functools
import inspect
import pickle
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from streamer.contracts.components import FunctionTarget
from streamer.contracts.handlers import BaseHandler, Handler, progress_method
from streamer.core.errors import PluginError
from streamer.core.messages import Reporter, Request, Result
from streamer.handlers.pools import Pools

Run = Callable[[Request], Awaitable[Any]]


def adapt(target: Any, *, pools: Pools, estimated_duration: float = 0.0) -> Handler:
    """The handler for a factory's object.

    Args:
        target: an object with `process` (missing methods are added; a complete one is returned unchanged), or a
            `FunctionTarget`: an `async def` runs on the loop, a plain `def` in a thread, a `cpu_bound` one in a
            process. All three report progress with `request.progress`, and return a Result or plain JSON data.
        pools: run plain and CPU-bound functions.
        estimated_duration: seconds, for a target without its own estimate.

    Raises:
        PluginError: the target cannot run requests.
    """
    if isinstance(target, FunctionTarget):
        return FunctionHandler(_runner(target, pools), estimated_duration)
    if not callable(getattr(target, "process", None)):
        raise PluginError(f"{_name(target)} is not a handler: it needs a method `async def process(self, request)`")
    if callable(getattr(target, "validate", None)) and callable(getattr(target, "estimated_duration", None)):
        complete: Handler = target
        return complete
    if callable(progress_method(target)):
        return _FilledWithProgress(target, estimated_duration)
    return _Filled(target, estimated_duration)


def estimate_of(target: Any) -> Callable[[], float] | None:
    """The method with which a factory's object estimates its runs; None when it has none."""
    return getattr(target, "estimated_duration", None)


class FunctionHandler(BaseHandler):
    """A handler made from one function, wherever it runs."""

    def __init__(self, run: Run, estimated_duration: float) -> None:
        super().__init__(estimated_duration=estimated_duration)
        self._run = run

    async def process(self, request: Request, /) -> Result:
        """Runs the function; plain data that it returns becomes the result's data."""
        value = await self._run(request)
        return value if isinstance(value, Result) else Result(data=value)


class _Filled(BaseHandler):
    """An object that has `process`, with its missing methods added."""

    def __init__(self, target: Any, estimated_duration: float) -> None:
        super().__init__(estimated_duration=estimated_duration, validator=getattr(target, "validate", None))
        self._target = target
        self._estimate = estimate_of(target) or super().estimated_duration

    def estimated_duration(self) -> float:
        return float(self._estimate())

    async def process(self, request: Request, /) -> Any:
        return await self._target.process(request)


class _FilledWithProgress(_Filled):
    async def process_with_progress(self, request: Request, reporter: Reporter, /) -> Any:
        return await self._target.process_with_progress(request, reporter)


def _runner(target: FunctionTarget, pools: Pools) -> Run:
    function, options = target.function, target.options
    called = function.func if isinstance(function, functools.partial) else function
    call = called if inspect.isroutine(called) else type(called).__call__
    if inspect.isgeneratorfunction(call) or inspect.isasyncgenfunction(call):
        raise PluginError(f"the handler function {_name(function)} yields; it must return its result")
    _check_signature(function, options)
    if target.cpu_bound:
        if inspect.iscoroutinefunction(call):
            raise PluginError(f"the handler function {_name(function)} is async and cpu_bound; write it as a plain def")
        try:
            pickle.dumps((function, options))
        except Exception as error:
            raise PluginError(
                f"the handler function {_name(function)} cannot be sent to a process ({error}); "
                f"define it, and everything in its options, at the top level of a module"
            ) from error
        return lambda request: pools.in_process(function, request, options)
    if inspect.iscoroutinefunction(call):
        return functools.partial(function, **options) if options else function
    return lambda request: pools.in_thread(function, request, options)


def _check_signature(function: Callable[..., Any], options: Mapping[str, Any]) -> None:
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        # Some functions written in C do not have a signature.
        return
    try:
        signature.bind(None, **options)
    except TypeError as problem:
        given = f"a request and {', '.join(options)}" if options else "a request"
        raise PluginError(
            f"the handler function {_name(function)}{signature} cannot be called with {given}: {problem}"
        ) from None


def _name(target: Any) -> str:
    return getattr(target, "__qualname__", None) or type(target).__qualname__
