#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
"""Plausible defects of the data path, for tests/data/mutate.

    defects.py list                 their names
    defects.py about NAME           what is wrong with it
    defects.py apply NAME DIR       put it into DIR/FILE
    defects.py heal NAME DIR        take it out again

A defect is a piece of code that stands once in a file, and what is there instead.
"""

import collections
import pathlib
import sys

Defect = collections.namedtuple("Defect", "about file good bad")

DEFECTS = {
    "page-offset-dropped": Defect(
        "every access starts at the beginning of its page", "kernel/mem/mtt_chunk.h",
        "return (void *)((*entry & PAGE_MASK) + offset);",
        "return (void *)((*entry & PAGE_MASK) + (offset & PAGE_MASK));"),
    "page-end-off-by-one": Defect(
        "an entry is good for one byte behind its page", "kernel/mem/mtt_chunk.h",
        "*run = size - offset;",
        "*run = size - offset + 1;"),
    "not-dirtied": Defect(
        "a page that the device wrote to stays clean", "kernel/mem/mtt_copy.c",
        "folio_set_dirty(folio);",
        "folio_clear_dirty(folio);"),
    "no-zap": Defect(
        "an invalidation takes nothing out of the table", "kernel/mem/odp.c",
        "if (unlikely(end - start != PAGE_SIZE)) {",
        "if (end > start)\n\t\treturn;\n\tif (unlikely(end - start != PAGE_SIZE)) {"),
    "zap-last-page-missed": Defect(
        "an invalidation of several pages spares the last one", "kernel/mem/odp.c",
        "last = min(end - 1, odp->va_last)",
        "last = min(end - 1 - PAGE_SIZE, odp->va_last)"),
    "zap-by-user-address": Defect(
        "an invalidation takes the address in the process for the iova", "kernel/mem/odp.c",
        "u64 iova = start + odp->va_to_iova;",
        "u64 iova = start;"),
    "fault-by-iova": Defect(
        "a fault takes the iova for the address in the process", "kernel/mem/odp_fill.c",
        "va = (mr->start & PAGE_MASK) + ((iova & PAGE_MASK) - (mr->iova & PAGE_MASK));",
        "va = iova & PAGE_MASK;"),
    "commit-unchecked": Defect(
        "pages are committed though they were invalidated meanwhile", "kernel/mem/odp_fill.c",
        "if (!mirror_range_valid(&fill->range))",
        "if (!fill)"),
    "read-only-written": Defect(
        "a page that was faulted in for reading can be written to", "kernel/mem/mtt.c",
        "if (write)\n\t\tentry |= MTT_WRITE;",
        "entry |= MTT_WRITE;"),
    "miss-of-next-runner": Defect(
        "the region of a miss is looked up after the engine was given back", "kernel/qp/engine.c",
        "mirage_mr_put(mr);",
        "for (int i = 0; i < 20000; i++)\n\t\tcpu_relax();\n\tmirage_mr_put(READ_ONCE(miss->mr));"),
    "sge-position-kept": Defect(
        "the next SGE is begun where the last one ended", "kernel/mem/cursor.c",
        "b->off = 0;\n\t}",
        "b->off &= ~7U;\n\t}"),
    "miss-loses-position": Defect(
        "after a missing page the source goes on where it was", "kernel/mem/cursor.c",
        "advance(from, n);\n\t\t\tmoved += n;",
        "if (side == MTT_MISS_NONE)\n\t\t\t\tadvance(from, n);\n\t\t\tmoved += n;"),
    "long-message-recounted": Defect(
        "what is left of a long message is counted from its last piece", "kernel/direct/direct.c",
        "req->done += n;",
        "req->done = n;"),
    "atomic-twice": Defect(
        "an atomic whose result found no page is executed again", "kernel/direct/direct.c",
        "req->executed = true;",
        "req->executed = false;"),
}


def change(name, top, old, new):
    path = pathlib.Path(top, DEFECTS[name].file)
    text = path.read_text()
    if text.count(old) != 1:
        sys.exit(f"{name}: '{old}' stands {text.count(old)} times in {DEFECTS[name].file}, not once")
    path.write_text(text.replace(old, new))


def main():
    what, name, top = (sys.argv[1:] + ["", "", ""])[:3]
    if what == "list":
        print("\n".join(DEFECTS))
        return
    if name not in DEFECTS:
        sys.exit(f"defects.py: no defect '{name}'; known: {' '.join(DEFECTS)}")
    defect = DEFECTS[name]
    if what == "about":
        print(defect.about)
    elif what == "apply":
        change(name, top, defect.good, defect.bad)
    elif what == "heal":
        change(name, top, defect.bad, defect.good)
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main()
