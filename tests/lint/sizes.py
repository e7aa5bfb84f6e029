# SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
"""Usage: sizes.py TREE

Files of more than 800 lines, functions of more than 120, signature and braces included."""

import os
import sys

from source import Source, tree

FILE_LINES, FUNCTION_LINES = 800, 120


def main(top):
    found = False
    for folder in ('kernel', 'include', 'provider'):
        for path in tree(os.path.join(top, folder)):
            source = Source(os.path.join(top, folder), path)
            length = source.text.count('\n')
            if length > FILE_LINES:
                print(f'{folder}/{path}:1: {length} lines, {FILE_LINES} at most')
                found = True
            for function in source.functions():
                length = function.last - function.first + 1
                if length > FUNCTION_LINES:
                    print(f'{folder}/{path}:{function.first}: {function.name}() has {length} lines, '
                          f'{FUNCTION_LINES} at most')
                    found = True
    return found


if __name__ == '__main__':
    sys.exit(main(sys.argv[1]))
