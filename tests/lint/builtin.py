# SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
"""Usage: builtin.py TREE LINUX [SYMBOLS...]

Whether what is compiled in TREE/kernel could be part of the kernel itself: all objects of
all modules link as one, and the kernel has none of their external names. SYMBOLS are a
Module.symvers or a System.map, but stock kernels come without the latter. Complete is only
the source, LINUX: there a name is taken where a line begins in column 0 that has it and is
neither static nor a type, a declaration or a macro, in whatever driver and architecture."""

import os
import re
import subprocess
import sys

from names import EXTERNAL, objects, symbols

FOLDERS = ('arch', 'block', 'certs', 'crypto', 'drivers', 'fs', 'init', 'io_uring', 'ipc',
           'kernel', 'lib', 'mm', 'net', 'security', 'sound', 'usr', 'virt')


def link(top, names, entries):
    """What the linker says of all of them in one; entries are those with a module's own
    init_module() and cleanup_module()."""
    kernel, scratch = os.path.join(top, 'kernel'), os.path.abspath(os.path.join(top, 'linked'))
    os.makedirs(scratch, exist_ok=True)
    parts = [name for name in names if name not in entries]
    for number, name in enumerate(sorted(entries)):
        parts.append(f'{scratch}/{number}.o')
        subprocess.run(['objcopy', '-L', 'init_module', '-L', 'cleanup_module', name, parts[-1]],
                       cwd=kernel, check=True)
    run = subprocess.run(['ld', '-r', '-o', f'{scratch}/all.o'] + parts, cwd=kernel, check=False,
                         text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    return run.stdout.splitlines() or (['ld failed'] if run.returncode else [])


def listed(path):
    """The names in a Module.symvers (crc, name, ...) or the external ones of a System.map."""
    found = {}
    with open(path, encoding='utf-8') as file:
        for line in file:
            words = line.split()
            if len(words) == 3 and words[1].isupper():
                found[words[2]] = path
            elif len(words) > 3:
                found[words[1]] = f'{path} ({words[2]})'
    return found


def defines(path, text, before, name):
    """Whether a line of C or assembler, and the one before, give that name to the linker."""
    if not re.match(r'[A-Za-z_.]', text) or re.match(r'(static|extern|typedef)\b', text):
        return False
    if path.endswith('.S'):
        return True
    # Not an argument or a type, but what DEFINE_THIS(name) and EXPORT_SYMBOL(name) are for.
    if not re.match(rf'(?:[A-Z0-9_]+\(|[^(]*(?<!struct )(?<!union )(?<!enum )){name}\b(?!:)', text):
        return False
    # The type is on the line before.
    return not (text.startswith(name) and re.match(r'static\b', before))


def in_source(linux, names):
    """(name, FILE:LINE) of each that the kernel's source defines."""
    run = subprocess.run(['grep', '-rnwF', '-B1', '--include=*.c', '--include=*.S', '-f', '-'] +
                         [folder for folder in FOLDERS if os.path.isdir(os.path.join(linux, folder))],
                         cwd=linux, input='\n'.join(names) + '\n', text=True, check=False,
                         encoding='utf-8', errors='replace', env={'LC_ALL': 'C', 'PATH': os.environ['PATH']},
                         stdout=subprocess.PIPE)
    if run.returncode > 1:
        raise RuntimeError('grep failed')
    before = ''
    for line in run.stdout.splitlines():
        match = re.match(r'(\S+?\.[cS])([:-])(\d+)\2(.*)', line)
        if not match:
            continue
        path, sign, number, text = match.groups()
        if sign == ':':
            for name in set(re.findall(r'\w+', text)) & names:
                if defines(path, text, before, name):
                    yield name, f'{path}:{number}'
        before = text


def main(top, linux, *lists):
    kernel = os.path.join(top, 'kernel')
    names = [name for module in objects(kernel).values() for name in module]
    external = [symbol for symbol in symbols(kernel, names)
                if symbol.kind.isupper() and symbol.kind not in 'UN']
    ours = {symbol.name for symbol in external} - EXTERNAL
    lines = link(top, names, {symbol.object for symbol in external if symbol.name in EXTERNAL})
    for path in lists:
        theirs = listed(path)
        lines += [f'{name} is the kernel\'s: {theirs[name]}' for name in sorted(ours & set(theirs))]
    lines += [f'{name} is the kernel\'s: {place}' for name, place in sorted(set(in_source(linux, ours)))]
    if lines:
        print('\n'.join(lines))
    return bool(lines)


if __name__ == '__main__':
    sys.exit(main(*sys.argv[1:]))
