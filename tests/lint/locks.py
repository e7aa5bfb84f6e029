# SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
"""Usage: locks.py TREE

Who says that a lock is held has lockdep hear it. Where the comment right above a function
of kernel/, or above its declaration, has "lock is held", "locks are held" or "caller holds",
or where the name ends in _locked, the body asserts it (lockdep_assert_*, lockdep_is_held) or
the signature tells sparse (__must_hold, __acquires, __releases)."""

import os
import re
import sys

from source import Source, tree

# "held, or nobody else has it" is no promise that a function can check.
HELD = re.compile(r'(?:\block(?:s|ed)? (?:is|are) held|\bcallers? holds?)\b(?!,? (?:or|but|unless)\b)', re.I)
NOT_HELD = re.compile(r'\bno(?:ne)?\b[^.;]*$', re.I)
SAID = re.compile(r'\blockdep_(?:assert_\w+|is_held)\b|\b__(?:must_hold|acquires|releases)\b')
DECLARATION = re.compile(r'(?:^|\n)[a-z][^;{}#]*?\b(\w+)\([^;{}]*\)[^;{}()]*;')


def promises(comment):
    """Whether it says that a lock is held, rather than that none is."""
    text = re.sub(r'\s*\n\s*\*?\s*', ' ', comment)
    return any(not NOT_HELD.search(text[:match.start()]) for match in HELD.finditer(text))


def comment_above(source, first):
    """The comment that ends on the line before."""
    if first < 2 or not source.lines[first - 2].rstrip().endswith('*/'):
        return ''
    begin = first - 1
    while begin > 1 and '/*' not in source.lines[begin - 1]:
        begin -= 1
    return '\n'.join(source.lines[begin - 1:first - 1])


def main(top):
    promised, bodies = {}, {}
    for path in tree(os.path.join(top, 'kernel')):
        source = Source(top, f'kernel/{path}')
        for function in source.functions():
            text = '\n'.join(source.code[function.first - 1:function.last])
            bodies.setdefault(function.name, []).append(text)
            if function.name.endswith('_locked') or promises(comment_above(source, function.first)):
                promised.setdefault(function.name, f'{source.path}:{function.first}')
        if path.endswith('.h'):
            code = '\n'.join(source.code)
            for match in DECLARATION.finditer(code):
                first = code.count('\n', 0, match.start() + code[match.start():].startswith('\n')) + 1
                if promises(comment_above(source, first)):
                    promised.setdefault(match.group(1), f'{source.path}:{first}')
    wrong = [f'{place}: {name}() is called with a lock held and does not assert it'
             for name, place in promised.items()
             if name in bodies and not any(SAID.search(body) for body in bodies[name])]
    if wrong:
        print('\n'.join(sorted(wrong)))
    return bool(wrong)


if __name__ == '__main__':
    sys.exit(main(sys.argv[1]))
