from __future__ import annotations

import pytest

from streamer.config.settings import PluginSettings
from streamer.core.errors import PluginError
from streamer.plugins.manager import discover

HEAD = """
    from streamer import Component, Kind, handler, hookimpl

    def work(request):
        pass

    def middleware(name):
        return Component(kind=Kind.MIDDLEWARE, name=name, factory=work)
"""


@pytest.fixture
def problem(install):
    def of(source: str) -> str:
        install("broken-plugin", {"broken": "broken_plugin"}, broken_plugin=HEAD + source)
        with pytest.raises(PluginError) as caught:
            discover(PluginSettings())
        text = str(caught.value)
        for line in text.splitlines():
            assert line.startswith("plugin 'broken' of the distribution broken-plugin 1.0: ")
            assert line.endswith("; block it with plugins.block: [broken-plugin]")
        return text

    return of


def test_a_misspelt_hook_is_found_with_a_suggestion(problem):
    text = problem("""
    @hookimpl
    def streamer_handler():
        return []
    """)
    assert "unknown hook 'streamer_handler' (did you mean 'streamer_handlers'?)" in text


def test_a_hook_that_panics_is_named(problem):
    text = problem("""
    class Panic(BaseException):
        pass

    @hookimpl
    def streamer_handlers():
        raise Panic("boom")
    """)
    assert "streamer_handlers failed: Panic: boom" in text


def test_a_hook_like_no_other_is_answered_with_the_list(problem):
    text = problem("""
    @hookimpl
    def on_startup():
        return []
    """)
    assert "unknown hook 'on_startup' (hooks: streamer_handlers, streamer_middlewares" in text


def test_a_plugin_that_offers_nothing_is_an_error(problem):
    assert "it has no components: no function with @streamer.hookimpl returns one" in problem("")


def test_a_plugin_whose_hooks_return_only_empty_lists_offers_nothing(problem):
    text = problem("""
    @hookimpl
    def streamer_handlers():
        return []
    """)
    assert "it has no components" in text


def test_an_optional_hook_that_does_not_exist_is_no_offer(problem):
    text = problem("""
    @hookimpl(optionalhook=True)
    def streamer_later():
        return []
    """)
    assert "it has no components" in text


def test_an_undecorated_hook_is_named(problem):
    text = problem("""
    def streamer_handlers():
        return []
    """)
    assert "the function 'streamer_handlers' is not decorated with @streamer.hookimpl, so it is never called" in text


def test_an_undecorated_and_misspelt_hook_is_named_when_nothing_else_is_offered(problem):
    text = problem("""
    def streamer_middleware():
        return []
    """)
    assert "'streamer_middleware' is not decorated with @streamer.hookimpl" in text
    assert "(did you mean 'streamer_middlewares'?)" in text


def test_an_undecorated_hook_beside_a_decorated_one_is_named(problem):
    text = problem("""
    @hookimpl
    def streamer_handlers():
        return [handler("work", work)]

    def streamer_middlewares():
        return []
    """)
    assert "the function 'streamer_middlewares' is not decorated" in text


def test_a_helper_with_a_name_like_a_hook_is_nobodys_business_where_something_is_offered(install):
    source = """
    streamer_auth = None

    @hookimpl
    def streamer_handlers():
        return [handler("work", work)]

    def streamer_handler():
        return None
    """
    install("fine-plugin", {"fine": "fine_plugin"}, fine_plugin=HEAD + source)
    assert len(discover(PluginSettings()).components) == 1


def test_a_class_is_refused_where_an_instance_is_meant(install):
    install("classes", {"classes": "classes_plugin:Plugin"}, classes_plugin="class Plugin: pass")
    with pytest.raises(PluginError, match="names the class Plugin; name a module, or an instance of it"):
        discover(PluginSettings())


@pytest.mark.parametrize(
    ("decorator", "definition", "said"),
    [
        ("@hookimpl", "async def streamer_handlers(): return []", "is asynchronous; hooks are plain functions"),
        ("@hookimpl", "async def streamer_handlers(): yield 1", "is asynchronous; hooks are plain functions"),
        ("@hookimpl", "def streamer_handlers(): yield handler('a', work)", "is a generator; return a list"),
        ("@hookimpl(wrapper=True)", "def streamer_handlers(): return (yield)", "is a wrapper"),
        ("@hookimpl(hookwrapper=True)", "def streamer_handlers(): yield", "is a wrapper"),
        ("@hookimpl", "def streamer_handlers(config): return []", "can not be found in the hookspec"),
        ("@hookimpl", "def streamer_handlers(): return None", "streamer_handlers returned None; it must return a list"),
        ("@hookimpl", "def streamer_handlers(): return handler('a', work)", "returned a Component; it must return"),
        ("@hookimpl", "def streamer_handlers(): return ['a']", "item 0 is a str, not a Component"),
        ("@hookimpl", "def streamer_handlers(): return {}['x']", "streamer_handlers failed: KeyError: 'x'"),
        (
            "@hookimpl",
            "def streamer_handlers(): return [middleware('m')]",
            "returned 'm' of kind middleware; it may return handler: use streamer_middlewares for it",
        ),
        (
            "@hookimpl",
            "def streamer_backends(): return [handler('a', work)]",
            "it may return connections or store: use streamer_handlers for it",
        ),
    ],
)
def test_a_hook_of_the_wrong_make_is_refused(problem, decorator, definition, said):
    assert said in problem(f"""
    {decorator}
    {definition}
    """)


def test_a_coroutine_returned_by_a_plain_function_is_refused_without_a_warning(problem):
    text = problem("""
    async def later():
        return []

    @hookimpl
    def streamer_handlers():
        return later()
    """)
    assert "streamer_handlers returned a coroutine; it must return a list of Component" in text


def test_problems_of_several_hooks_are_told_together(problem):
    text = problem("""
    @hookimpl
    def streamer_handlers():
        return None

    @hookimpl
    def streamer_auth():
        return None
    """)
    assert len(text.splitlines()) == 2


def test_a_tuple_will_do(install):
    source = """
    @hookimpl
    def streamer_middlewares():
        return (middleware("m"),)
    """
    install("tuple-plugin", {"pairs": "tuple_plugin"}, tuple_plugin=HEAD + source)
    assert [name for _, name in discover(PluginSettings()).components] == ["pairs.m"]


def test_two_components_with_one_name_are_refused(install):
    source = """
    @hookimpl
    def streamer_handlers():
        return [handler("twice", work), handler("twice", work)]
    """
    install("double-plugin", {"double": "double_plugin"}, double_plugin=HEAD + source)
    with pytest.raises(PluginError) as caught:
        discover(PluginSettings())
    assert "two components are called handler 'double.twice': from double-plugin 1.0 and from double-plugin 1.0" in str(
        caught.value
    )


def test_one_name_may_serve_two_kinds(install):
    source = """
    @hookimpl
    def streamer_handlers():
        return [handler("same", work)]

    @hookimpl
    def streamer_middlewares():
        return [middleware("same")]
    """
    install("same-plugin", {"same": "same_plugin"}, same_plugin=HEAD + source)
    assert len(discover(PluginSettings()).components) == 2
