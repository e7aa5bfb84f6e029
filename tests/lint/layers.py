# SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
"""Usage: layers.py TREE

Who includes whom: the includes in TREE/kernel against the table in "rooms". Prints
each that goes up or aside, each circle, each word that is somebody else's."""

import os
import re
import sys

from source import Source, tree

TABLE = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'rooms')


class Rooms:
    """The table."""

    def __init__(self, path=TABLE):
        self.floor = {}
        self.islands, self.forced = {}, set()
        self.headers, self.words, self.excepted = {}, [], []
        floors = 0
        with open(path, encoding='utf-8') as file:
            for line in file:
                words = line.split()
                if not words or words[0].startswith('#'):
                    continue
                kind, rest = words[0], words[1:]
                if kind == 'floor':
                    self.floor.update((room, floors) for room in rest)
                    floors += 1
                elif kind == 'island':
                    self.islands[rest[0]] = rest[1:]
                elif kind == 'forced':
                    self.forced.update(rest)
                elif kind == 'header':
                    self.headers[rest[0]] = rest[1:]
                elif kind in ('only', 'never'):
                    self.words.append((kind, re.compile(rest[0]), rest[1:]))
                elif kind == 'but':
                    self.excepted.append((rest[0], rest[1], ' '.join(rest[2:])))
                else:
                    raise ValueError(f'{path}: {line}')

    @staticmethod
    def of(path):
        """The room of a file whose name is relative to kernel/."""
        return path.split('/')[0] if '/' in path else 'top'

    def known(self, room):
        return room in self.floor or room in self.islands or room in self.forced

    def may(self, path, who):
        """Whether the file is among who."""
        room = self.of(path)
        for one in who:
            if one in (room, path):
                return True
            if one.endswith('+') and self.floor.get(room, 99) <= self.floor[one[:-1]]:
                return True
        return False

    def sees(self, low, high):
        """Whether a file in room low may know of room high."""
        if low == high:
            return True
        return low in self.floor and high in self.floor and self.floor[low] < self.floor[high]

    def links(self, path, high):
        """Whether what the file becomes may need a symbol of room high."""
        return self.sees(self.of(path), high) or self.may(path, self.islands.get(high, ()))


def circles(arrows):
    """The sets of nodes that reach each other, of a dictionary node -> nodes (Tarjan)."""
    index, low, stack, found = {}, {}, [], []

    def visit(node):
        index[node] = low[node] = len(index)
        stack.append(node)
        for to in sorted(arrows.get(node, ())):
            if to not in index:
                visit(to)
                low[node] = min(low[node], low[to])
            elif to in stack:
                low[node] = min(low[node], index[to])
        if low[node] == index[node]:
            at = stack.index(node)
            if len(stack) - at > 1:
                found.append(sorted(stack[at:]))
            del stack[at:]

    for node in sorted(arrows):
        if node not in index:
            visit(node)
    return found


def shortest(arrows, loop):
    """One of the shortest ways round within such a set."""
    best = None
    for start in loop:
        came, queue = {}, [start]
        while queue and start not in came:
            node = queue.pop(0)
            for to in sorted(arrows.get(node, ())):
                if to in loop and to not in came:
                    came[to] = node
                    queue.append(to)
        way = [start]
        while len(way) == 1 or way[-1] != start:
            way.append(came[way[-1]])
        if not best or len(way) < len(best):
            best = way[::-1]
    return best


def check_words(rooms, source, report):
    """The rows "only" and "never"."""
    for kind, what, who in rooms.words:
        if rooms.may(source.path, who) == (kind == 'only'):
            continue
        whose = f'for {", ".join(who)} only' if kind == 'only' else f'not for {", ".join(who)}'
        if what.pattern.startswith('<'):
            for number, name in source.includes():
                if what.fullmatch(name):
                    report(number, f'{name} is {whose}')
            continue
        for number, line in enumerate(source.code, 1):
            for word in {word for word in re.findall(r'\w+', line) if what.fullmatch(word)}:
                if line.strip() != f'struct {word};' and not any(
                        (source.path, word) == (file, but) and text in line
                        for file, but, text in rooms.excepted):
                    report(number, f'{word} is {whose}')


def main(top):
    rooms = Rooms()
    kernel = os.path.join(top, 'kernel')
    files = tree(kernel)
    public = set(tree(os.path.join(top, 'include')))
    lines, arrows, between, where = [], {}, {}, {}
    total = up = 0

    for path in files:
        source = Source(kernel, path)
        room = rooms.of(path)

        def report(number, text, path=path):
            lines.append(f'kernel/{path}:{number}: {text}')

        if not rooms.known(room):
            report(1, f'there is no room {room}/ in tests/lint/rooms')
            continue
        check_words(rooms, source, report)
        for number, quoted in source.includes():
            if quoted[0] == '<':
                continue
            name = quoted[1:-1]
            total += 1
            if name in rooms.headers:
                if not rooms.may(path, rooms.headers[name]):
                    report(number, f'"{name}" is for {", ".join(rooms.headers[name])} only')
                continue
            if name in public:
                report(number, f'"{name}" of include/ has no row in tests/lint/rooms')
                continue
            if name not in files:
                report(number, f'"{name}" is not a path below kernel/')
                continue
            target = rooms.of(name)
            arrows.setdefault(path, set()).add(name)
            if target != room:
                between.setdefault(room, set()).add(target)
                where.setdefault((room, target), f'kernel/{path}:{number}')
            if not rooms.sees(room, target):
                up += 1
                report(number, f'{room}/ includes "{name}" of {target}/')

    loops = circles(between)
    for loop in loops:
        way = shortest(between, loop)
        lines.append('circle of rooms: ' + ', '.join(loop))
        lines += [f'    {where[a, b]}: {a}/ -> {b}/' for a, b in zip(way, way[1:])]
    for loop in circles(arrows):
        lines.append('circle of headers: ' + ', '.join(loop))
    if lines:
        print('\n'.join(lines))
        print(f'{total} own includes, {up} go up, {len(loops)} circles of rooms')
    return bool(lines)


if __name__ == '__main__':
    sys.exit(main(sys.argv[1]))
