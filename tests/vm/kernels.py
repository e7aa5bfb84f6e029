# SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
"""The rows of the file kernels, for Python."""

import argparse
import collections
import pathlib
import sys

PATH = pathlib.Path(__file__).with_name("kernels")

Kernel = collections.namedtuple("Kernel", "name kind version flavour arch groups")


def read(path=PATH):
    rows = []
    for number, line in enumerate(path.read_text().splitlines(), 1):
        line = line.partition("#")[0].strip()
        if not line:
            continue
        fields = [f.strip() for f in line.split("|")]
        if len(fields) != len(Kernel._fields):
            sys.exit(f"mirage: {path}:{number}: want {' | '.join(Kernel._fields).upper()}")
        rows.append(Kernel(*fields[:-1], fields[-1].split()))
    return rows


KERNELS = read()


def named(word):
    """The kernels of a name or a group, in the order of the file; none: it is neither."""
    return [k for k in KERNELS if word == k.name or word in k.groups]


def one(word):
    """The kernel of a name, or of a group of one. For argparse's type=."""
    found = named(word)
    if len(found) != 1:
        raise argparse.ArgumentTypeError(
            f"no kernel '{word}'; known: {', '.join(k.name for k in KERNELS)}")
    return found[0]
