# SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
"""What the checks know of C: as much of it as kernel style makes plain. A function's
body is between a "{" and a "}" in column 0, a signature follows an empty line or the
end of something else."""

import collections
import os
import re

# What looks like a function's name in a signature and is none.
ANNOTATIONS = {'__must_hold', '__acquires', '__releases', '__printf', '__attribute__',
               '__aligned', '__section', '__counted_by', 'typeof', '__typeof__'}

Function = collections.namedtuple('Function', 'name static inline first body last')


def tree(top):
    """The C files below top, in order, relative to it; not what Kbuild generates."""
    found = []
    for folder, _, names in os.walk(top):
        for name in names:
            if name.endswith(('.c', '.h')) and not name.endswith('.mod.c'):
                found.append(os.path.relpath(os.path.join(folder, name), top))
    return sorted(found)


def blank(text):
    """Text with comments and the contents of literals blanked, line by line the same."""
    def spaces(match):
        token = match.group(0)
        if token[0] in '"\'':
            return token[0] + ' ' * (len(token) - 2) + token[-1]
        return re.sub(r'[^\n]', ' ', token)
    return re.sub(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'',
                  spaces, text, flags=re.S)


class Source:
    """One file: its lines, the same without comments, its functions. Lines count from 1."""

    def __init__(self, top, path):
        self.path = path
        with open(os.path.join(top, path), encoding='utf-8') as file:
            self.text = file.read()
        self.lines = self.text.split('\n')
        self.code = blank(self.text).split('\n')

    def includes(self):
        """(line number, name with its <> or quotes) of each #include."""
        for number, line in enumerate(self.lines, 1):
            match = re.match(r'\s*#\s*include\s*(<[^>]*>|"[^"]*")', line)
            if match and self.code[number - 1].strip():
                yield number, match.group(1)

    def functions(self):
        """Every function that is defined here."""
        previous = 0
        for number, line in enumerate(self.code, 1):
            if not line.startswith('{') or number <= previous:
                continue
            first = number
            while first > 1 and self._continues(self.code[first - 2]):
                first -= 1
            signature = ' '.join(self.code[first - 1:number - 1])
            last = number
            if '}' not in line:
                while last < len(self.code) and not self.code[last - 1].startswith('}'):
                    last += 1
            previous = last
            name = self._name(signature)
            if name:
                words = signature.split()
                yield Function(name, 'static' in words, bool({'inline', '__always_inline'} & set(words)),
                               first, number, last)

    @staticmethod
    def _continues(line):
        line = line.rstrip()
        return bool(line) and not line.startswith(('#', '}', '{')) and line[-1] not in ';}\\'

    @staticmethod
    def _name(signature):
        for match in re.finditer(r'(\w+)\s*\(', signature):
            if match.group(1) not in ANNOTATIONS:
                return match.group(1)
        return None
