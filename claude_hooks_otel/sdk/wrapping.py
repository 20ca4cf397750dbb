"""Wraps functions of every kind: plain, asynchronous, generators, asynchronous generators. Standard library only."""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncGenerator, Callable, Generator
from types import TracebackType
from typing import Any, Self, TypeVar, cast

F = TypeVar("F", bound=Callable[..., Any])


class Observer:
    """Observes one call. It is a context around the call."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        return

    def begin_generator(self) -> None:
        """Called before the context is entered, if the function is a generator."""

    def take_item(self) -> None:
        """Called for each item that a generator yields."""

    def take_result(self, result: Any) -> None:
        """Called with the result of any other function."""


# (positional arguments, keyword arguments) → the observer of the call.
Observe = Callable[[tuple[Any, ...], dict[str, Any]], Observer]


def wrap(function: F, observe: Observe) -> F:
    """Return a function of the same kind that runs each call inside an observer."""
    wrapper: Any
    if inspect.isasyncgenfunction(function):

        async def wrapper(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
            with _of_generator(observe, args, kwargs) as observer:
                inner = function(*args, **kwargs)
                try:
                    value = await anext(inner)
                    while True:
                        observer.take_item()
                        try:
                            sent = yield value
                        except GeneratorExit:
                            raise
                        except BaseException as error:
                            value = await inner.athrow(error)
                        else:
                            value = await inner.asend(sent)
                except StopAsyncIteration:
                    return
                finally:
                    await inner.aclose()

    elif inspect.isgeneratorfunction(function):

        def wrapper(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
            with _of_generator(observe, args, kwargs) as observer:
                return (yield from _observed(function(*args, **kwargs), observer))

    elif inspect.iscoroutinefunction(function):

        async def wrapper(*args: Any, **kwargs: Any) -> Any:
            with observe(args, kwargs) as observer:
                result = await function(*args, **kwargs)
                observer.take_result(result)
                return result

    else:

        def wrapper(*args: Any, **kwargs: Any) -> Any:
            with observe(args, kwargs) as observer:
                result = function(*args, **kwargs)
                observer.take_result(result)
                return result

    return cast("F", functools.wraps(function)(wrapper))


def _of_generator(observe: Observe, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Observer:
    observer = observe(args, kwargs)
    observer.begin_generator()
    return observer


def _observed(inner: Generator[Any, Any, Any], observer: Observer) -> Generator[Any, Any, Any]:
    """Yield what a generator yields, and pass it what is sent and thrown."""
    try:
        value = next(inner)
        while True:
            observer.take_item()
            try:
                sent = yield value
            except GeneratorExit:
                inner.close()
                raise
            except BaseException as error:
                value = inner.throw(error)
            else:
                value = inner.send(sent)
    except StopIteration as end:
        return end.value
