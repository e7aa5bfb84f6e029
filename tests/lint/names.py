# SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
"""Usage: names.py TREE

How things in TREE/kernel are named, by its sources and by the objects that were compiled
there: prefixes of what is external, one name for one function, no function named by one
word; and no call to a function of a room further up, whoever declared it."""

import collections
import os
import re
import subprocess
import sys

from layers import Rooms
from source import Source, tree

# What compilers, tracepoints, exports and Kbuild put around our names.
PREFIXES = re.compile(r'^(__pfx_|__cfi_|__SC[KT]__tp_func_|__tracepoint_|__traceiter_|__probestub_|'
                      r'__bpf_trace_|perf_trace_|trace_event_raw_event_|trace_raw_output_|'
                      r'__ksymtab_|__kstrtab_|__kstrtabns_|__crc_|__export_symbol_)')
SUFFIXES = re.compile(r'(\.(isra|constprop|part|cold|lto_priv)(\.\d+)*)+$')
EXTERNAL = {'init_module', 'cleanup_module', '__this_module'}

Symbol = collections.namedtuple('Symbol', 'object kind name place')


def objects(kernel):
    """The objects of each module, relative to kernel/. Kbuild leaves the modules' names in
    modules.order and those of their objects in *.mod, also of modules that are no more."""
    order = os.path.join(kernel, 'modules.order')
    if not os.path.exists(order):
        sys.exit(f'{kernel}: nothing is compiled here')
    found = {}
    for module in words_of(order):
        mod = here(kernel, re.sub(r'\.k?o$', '.mod', module), kernel)
        folder = os.path.dirname(os.path.join(kernel, mod or ''))
        found[module] = [here(kernel, name, folder) for name in words_of(f'{kernel}/{mod}')] if mod else []
        if not found[module] or None in found[module]:
            sys.exit(f'{kernel}: not all of {module} is compiled')
    return found


def words_of(path):
    with open(path, encoding='utf-8') as file:
        return file.read().split()


def here(kernel, path, folder=''):
    """A path that Kbuild or the compiler wrote, relative to kernel/; None: it is not ours."""
    path = os.path.normpath(path)
    tails = [path[match.end():] for match in re.finditer('/kernel/', path)]
    if not path.startswith('/'):
        tails += [os.path.relpath(os.path.join(folder, path), kernel), path]
    for tail in tails:
        if os.path.exists(os.path.join(kernel, tail)):
            return tail
    match = re.search(r'/include/([\w-]+\.h)$', path)
    if match and os.path.exists(os.path.join(kernel, '../include', match.group(1))):
        return '../include/' + match.group(1)
    return None


def symbols(kernel, names):
    """Every symbol of the objects; place is FILE:LINE in our sources, where one is known."""
    out = subprocess.run(['nm', '-Al'] + names, cwd=kernel, check=True, text=True,
                         stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout
    for line in out.splitlines():
        match = re.match(r'([^:]+):(?:[0-9a-f]+)?\s+(\S)\s+([^\t]+)(?:\t(.*):(\d+))?$', line)
        if not match:
            continue
        name, kind, symbol, path, number = match.groups()
        place = here(kernel, path) if path else None
        if path and not place and kind not in 'Uu':
            continue
        yield Symbol(name, kind, symbol, place and f'{place}:{number}')


def source_of(name):
    return name[:-2] + '.c'


def shown(place):
    return os.path.normpath('kernel/' + place)


def check_external(modules, report):
    for room, place, name in sorted({(Rooms.of(s.object), s.place or source_of(s.object),
                                      PREFIXES.sub('', s.name))
                                     for module in modules.values() for s in module
                                     if s.kind.isupper() and s.kind not in 'UN'}):
        prefix = 'mirror_' if room == 'mirror' else 'mirage_'
        if not name.startswith(prefix) and name not in EXTERNAL:
            report(place, f'{name} is external and has no prefix {prefix}')


def check_functions(kernel, modules, report):
    places = {}
    for path in tree(kernel):
        for function in Source(kernel, path).functions():
            places.setdefault(function.name, {}).setdefault(path, function.first)
            if function.static and '_' not in function.name.strip('_'):
                report(f'{path}:{function.first}', f'{function.name}() is named by one word')
    for module in modules.values():
        for s in module:
            if s.kind not in 'tT' or PREFIXES.match(s.name):
                continue
            name = SUFFIXES.sub('', s.name)
            if name in EXTERNAL:
                continue
            path, _, number = (s.place or f'{source_of(s.object)}:1').partition(':')
            known = places.setdefault(name, {})
            # Without debug information a header's function is placed in who included it.
            if s.place or not known:
                known.setdefault(path, int(number))
    for name, files in sorted(places.items()):
        if len(files) > 1:
            for path, number in sorted(files.items()):
                others = ', '.join(shown(other) for other in sorted(files) if other != path)
                report(f'{path}:{number}', f'{name}() stands in {others} too')


def check_calls(modules, report):
    rooms = Rooms()
    owner = {s.name: s.object for module in modules.values() for s in module
             if s.kind.isupper() and s.kind != 'U'}
    for module in modules.values():
        for s in module:
            if s.kind == 'U' and s.name in owner:
                caller, callee = Rooms.of(s.object), Rooms.of(owner[s.name])
                if not rooms.links(s.object, callee):
                    report(s.place or source_of(s.object),
                           f'{caller}/ uses {s.name} of {callee}/')


def main(top):
    kernel = os.path.join(top, 'kernel')
    modules = {module: list(symbols(kernel, names)) for module, names in objects(kernel).items()}
    counts = collections.Counter()
    lines = set()

    def say(what):
        def report(place, text):
            counts[what] += 1
            lines.add(f'{shown(place)}: {text}')
        return report

    check_external(modules, say('without prefix'))
    check_functions(kernel, modules, say('functions'))
    check_calls(modules, say('calls up'))
    if lines:
        print('\n'.join(sorted(lines)))
        print(', '.join(f'{n} {what}' for what, n in counts.items()))
    return bool(lines)


if __name__ == '__main__':
    sys.exit(main(sys.argv[1]))
