# SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
"""Usage: documents.py TREE

Each file, function and type that TREE's documents name and TREE does not have. A name is
looked for where it is written as code: between backquotes, or in an indented line."""

import os
import re
import sys

IDENTIFIER = re.compile(r'\b(?:(?:mirage|mirror|MIRAGE|MIRROR)_\w+|[a-z]\w*_\w+(?=\(\)))')
PATH = re.compile(r'(?<![\w./<-])((?:[\w.-]+/)*[\w-]+\.(?:[ch]|py|sh|md)|'
                  r'(?:kernel|include|provider|tests|perftest|docs)/[\w./-]*\w)(?![\w/*])')
# The paths in a document are relative to one of these, or to its own folder.
ROOTS = ('', 'kernel', 'provider')
# What is named and somebody else's: C libraries, the kernel, rdma-core.
FOREIGN = re.compile(r'(?:ibv_|ibv|ib_|mmu_|hmm_|lockdep_|sched_|static_assert|dirty_|wait_|rxe_|kernel_|'
                     r'smp_|get_user)\w*|tests/run_tests\.py|.*NAME.*')


def sources(top):
    """(the paths, every word of the sources)"""
    paths, words = set(), set()
    for folder, folders, names in os.walk(top):
        folders[:] = [f for f in folders if f not in ('build', 'out') and not f.startswith('.')]
        for name in names:
            path = os.path.relpath(os.path.join(folder, name), top)
            while path:
                paths.add(path)
                path = os.path.dirname(path)
            if not name.endswith(('.md', '.o', '.ko')):
                with open(os.path.join(folder, name), encoding='utf-8', errors='replace') as file:
                    words.update(re.findall(r'\w+', file.read()))
    return paths, words


def missing(text, document, paths, words):
    for name in IDENTIFIER.findall(text):
        if name not in words:
            yield name
    ends = {os.path.basename(path) for path in paths}
    for name in PATH.findall(text):
        roots = (*ROOTS, os.path.dirname(document))
        if '/' not in name and name in ends:
            continue
        if not any(os.path.normpath(os.path.join(root, name)) in paths for root in roots):
            yield name


def main(top):
    found = False
    paths, words = sources(top)
    for document in sorted(path for path in paths if path.endswith('.md')):
        with open(os.path.join(top, document), encoding='utf-8') as file:
            for number, line in enumerate(file, 1):
                code = [line] if line.startswith('    ') else re.findall(r'`([^`]+)`', line)
                for text in code:
                    for name in missing(text, document, paths, words):
                        if not FOREIGN.fullmatch(name):
                            print(f'{document}:{number}: no {name}')
                            found = True
    return found


if __name__ == '__main__':
    sys.exit(main(sys.argv[1]))
