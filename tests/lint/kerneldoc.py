# SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
"""Usage: kerneldoc.py TREE LINUX

What the kernel's own kernel-doc warns of, and what it can not miss: functions of kernel/
that are not static, and structs of headers, that have no kernel-doc, or two.

kernel-doc does not read a comment of one line. "/** name - text */" is enough all the same
where that says what the arguments are: for a function with two at most."""

import os
import re
import subprocess
import sys

from source import Source, tree

SHORT_ARGUMENTS = 2
LONG = re.compile(r'^/\*\*\n \* ((?:(?:struct|union|enum|typedef) )?\w+(?:\(\))?)(?=\s*[-:\n])', re.M)
SHORT = re.compile(r'^/\*\* (\w+)(?:\(\))? - .*\*/$', re.M)
STRUCT = re.compile(r'^((?:struct|union) \w+) \{', re.M)
# The build root's Python is Debian's python3-minimal. What kernel-doc imports and that has
# not is for guesses at misspelled names and for debugging.
START = """
import runpy, sys, types
for name, function in ('difflib', 'get_close_matches'), ('pprint', 'pformat'):
    try:
        __import__(name)
    except ImportError:
        sys.modules[name] = types.ModuleType(name)
        setattr(sys.modules[name], function, lambda *_: ())
del sys.argv[0]
runpy.run_path(sys.argv[0], run_name='__main__')
"""


def warnings(top, linux, paths):
    """What kernel-doc says of the files."""
    run = subprocess.run([sys.executable, '-B', '-c', START, os.path.join(linux, 'scripts/kernel-doc'),
                          '-none', '-Wall'] + paths, cwd=top, text=True, check=False,
                         stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if run.returncode:
        yield f'kernel-doc failed: {run.stdout.strip()}'
    for line in sorted(set(run.stdout.splitlines())):
        if line.startswith(('Warning: ', 'Error: ')):
            yield line.split(' ', 1)[1]


def arguments(declaration, name):
    """How many arguments the function has whose declaration this begins with; or None: it
    is not that function's."""
    match = re.match(rf'[^;{{]*?\b{name}\s*\(', declaration)
    if not match:
        return None
    depth, count = 1, 1
    for position in range(match.end(), len(declaration)):
        char = declaration[position]
        depth += (char == '(') - (char == ')')
        count += char == ',' and depth == 1
        if not depth:
            break
    return 0 if declaration[match.end():position].strip() in ('', 'void') else count


def main(top, linux):
    sources = [Source(top, f'{folder}/{path}') for folder in ('kernel', 'include')
               for path in tree(os.path.join(top, folder))]
    lines = list(warnings(top, linux, [source.path for source in sources]))
    documented, wanted = {}, []

    for source in sources:
        code = '\n'.join(source.code)

        def at(match, source=source):
            return f'{source.path}:{source.text.count(chr(10), 0, match.start()) + 1}'

        for match in LONG.finditer(source.text):
            name = match.group(1)
            if name == 'DOC':
                continue
            if ' ' not in name:
                name = name.removesuffix('()') + '()'
            documented.setdefault(name, []).append(at(match))
        for match in SHORT.finditer(source.text):
            name = match.group(1)
            count = arguments(code[match.end():].lstrip(), name)
            if count is None:
                lines.append(f'{at(match)}: {name} is not what stands below this comment')
            elif count > SHORT_ARGUMENTS:
                lines.append(f'{at(match)}: {name}() has {count} arguments, too many for one line')
            documented.setdefault(f'{name}()', []).append(at(match))
        wanted += [(f'{source.path}:{function.first}', f'{function.name}()')
                   for function in source.functions() if not function.static]
        if source.path.endswith('.h'):
            wanted += [(f'{source.path}:{code.count(chr(10), 0, match.start()) + 1}', match.group(1))
                       for match in STRUCT.finditer(code)]

    for place, name in wanted:
        if name not in documented:
            lines.append(f'{place}: {name} has no kernel-doc')
    for name, places in sorted(documented.items()):
        if len(places) > 1:
            lines.append(f'{places[1]}: {name} has its kernel-doc at {places[0]} already')
    if lines:
        print('\n'.join(lines))
        print(len(lines), 'in all')
    return bool(lines)


if __name__ == '__main__':
    sys.exit(main(*sys.argv[1:3]))
