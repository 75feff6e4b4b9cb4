"""Reads a tree of Python packages as text: which module imports which, and what a name in it means."""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path


class Module:
    """One parsed file of a tree.

    Args:
        path: of the file.
        root: the folder of the tree's top package.
    """

    def __init__(self, path: Path, root: Path) -> None:
        parts = path.relative_to(root.parent).with_suffix("").parts
        self.is_package = parts[-1] == "__init__"
        self.name = ".".join(parts[:-1] if self.is_package else parts)
        self.short = str(path.relative_to(root))
        self.tree = ast.parse(path.read_text())
        package = self.name if self.is_package else self.name.rpartition(".")[0]
        self.imported = [*_imported(self.tree, package)]
        self.names = {name: target for _, name, target in self.imported if name}
        """What a name of this module's text means elsewhere, wherever in the module it was imported."""
        for node in self.tree.body:
            if isinstance(node, ast.ClassDef):
                self.names.setdefault(node.name, f"{self.name}.{node.name}")


def _imported(tree, package):
    """Every import of a module's text, as line, name here and dotted name there: lazy ones and those for types too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.asname or alias.name, alias.name
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            for alias in node.names:
                yield node.lineno, alias.asname or alias.name, f"{base}.{alias.name}"
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.count(".") > 1:
            # A module that is named in a string, to be imported by somebody else: 'streamer.runtime.serve:main'.
            yield node.lineno, "", node.value.partition(":")[0]


class Tree:
    """All modules of some packages.

    Args:
        roots: the folders of the packages.
    """

    def __init__(self, *roots: Path) -> None:
        modules = [Module(path, root) for root in roots for path in sorted(root.rglob("*.py"))]
        self.modules = {module.name: module for module in modules}

    def module_of(self, dotted):
        """The module that a dotted name is in, or is; None where it is none of these."""
        while dotted and dotted not in self.modules:
            dotted = dotted.rpartition(".")[0]
        return dotted or None

    def imports(self):
        """Which module imports which, with the line of the first such import."""
        found = defaultdict(dict)
        for module in self.modules.values():
            for line, name, dotted in module.imported:
                target = self.module_of(dotted)
                # The name of a package in a string is that of a logger, or of the place of its data.
                if target and target != module.name and (name or not self.modules[target].is_package):
                    found[module.name].setdefault(target, line)
        return found

    def resolve(self, module, node):
        """The dotted name of what an expression names."""
        if isinstance(node, ast.Attribute):
            return f"{self.resolve(module, node.value)}.{node.attr}"
        if not isinstance(node, ast.Name):
            return ""
        # `import package.module` makes the package's name known.
        here = node.id if node.id in self.modules else f"{module.name}.{node.id}"
        return self.origin(module.names.get(node.id, here))

    def origin(self, dotted):
        """Where something is defined that is imported from elsewhere, such as through a package's `__init__`."""
        for _ in range(10):
            home = self.module_of(dotted)
            first, _, rest = dotted.removeprefix(f"{home}.").partition(".") if home else ("", "", "")
            further = self.modules[home].names.get(first, "") if home and home != dotted else ""
            if not further or further == f"{home}.{first}":
                return dotted
            dotted = f"{further}.{rest}" if rest else further
        return dotted

    def classes(self):
        """Every class at the top of a module, by its dotted name."""
        return {
            f"{module.name}.{node.name}": (module, node)
            for module in self.modules.values()
            for node in module.tree.body
            if isinstance(node, ast.ClassDef)
        }


def cycles(graph):
    """The nodes of each cycle of a graph: what can be reached from itself (Tarjan's strongly connected components)."""
    numbers, lowest, path, found = {}, {}, [], []

    def visit(node):
        numbers[node] = lowest[node] = len(numbers)
        path.append(node)
        for target in graph.get(node, ()):
            if target not in numbers:
                visit(target)
            if target in path:
                lowest[node] = min(lowest[node], lowest[target])
        if lowest[node] == numbers[node]:
            members = path[path.index(node) :]
            del path[path.index(node) :]
            if len(members) > 1:
                found.append(sorted(members))

    for node in list(graph):
        if node not in numbers:
            visit(node)
    return found


def cycles_of_modules(tree):
    return cycles(tree.imports())


def cycles_of_packages(tree):
    """Cycles between what lies in one package, be it modules or packages, which count as a whole."""
    found = []
    graphs = defaultdict(lambda: defaultdict(set))
    for module, targets in tree.imports().items():
        for target in targets:
            here, there = module.split("."), target.split(".")
            shared = next((at for at, pair in enumerate(zip(here, there, strict=False)) if pair[0] != pair[1]), 0)
            if shared:
                graphs[".".join(here[:shared])][".".join(here[: shared + 1])].add(".".join(there[: shared + 1]))
    for graph in graphs.values():
        found += cycles(graph)
    return found
