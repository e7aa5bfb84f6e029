# SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
"""Medians, tables, CSV and plots of repeated measurements."""

import csv
import math
import statistics


class Samples:
    """Repetitions of figures, each under a key (a tuple)."""

    def __init__(self):
        self.values = {}

    def add(self, key, value):
        self.values.setdefault(key, []).append(value)

    def median(self, key):
        found = self.values.get(key)
        return statistics.median(found) if found else None

    def spread(self, key):
        """Distance of the extremes, as a fraction of the median."""
        found, middle = self.values.get(key), self.median(key)
        if not found or not middle:
            return None
        return (max(found) - min(found)) / middle


def ratio(above, below):
    return above / below if above is not None and below else None


def number(value):
    """Three significant digits or all before the point; '-' for none."""
    if value is None:
        return "-"
    if value == 0:
        return "0"
    digits = 2 - math.floor(math.log10(abs(value)))
    return f"{value:,.{min(max(digits, 0), 3)}f}"


def short_number(value):
    """As number(), narrow enough for the top of a bar."""
    if value >= 1000:
        return f"{value / 1000:.1f}k" if value < 99500 else f"{value / 1000:.0f}k"
    return f"{value:.2f}" if value < 9.995 else f"{value:.1f}" if value < 99.95 else f"{value:.0f}"


def percent(value):
    return "-" if value is None else f"{value * 100:.1f}%" if value < 0.0995 else f"{value * 100:.0f}%"


def size_name(size):
    for unit, name in ((1 << 40, "TiB"), (1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")):
        if size >= unit and size % unit == 0:
            return f"{size // unit} {name}"
    return f"{size} B"


def table(head, rows):
    """Lines of a table; the first column is text, the others are right-aligned."""
    cells = [[str(c) for c in row] for row in [head, *rows]]
    width = [max(len(row[i]) for row in cells) for i in range(len(head))]
    lines = []
    for row in cells:
        first = row[0].ljust(width[0])
        lines.append("  ".join([first, *(c.rjust(w) for c, w in zip(row[1:], width[1:]))]).rstrip())
    lines.insert(1, "-" * max(map(len, lines)))
    return lines


def write_csv(path, head, rows):
    with open(path, "w", newline="") as f:
        out = csv.writer(f)
        out.writerow(head)
        out.writerows(rows)


class Plot:
    """Panels of grouped bars on logarithmic axes, as SVG.

    A panel is (title, unit, [(group name, {series: (median, low, high)})]).
    """

    PANEL_W, PANEL_H = 600, 300
    LEFT, RIGHT, TOP, BOTTOM = 62, 12, 40, 34
    COLUMNS = 2
    HEAD = 74

    def __init__(self, title, series, colours):
        self.title = title
        self.series = series
        self.colours = colours
        self.out = []

    def text(self, x, y, words, size=12, anchor="start", extra=""):
        words = words.replace("&", "&amp;").replace("<", "&lt;")
        self.out.append(f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" '
                        f'text-anchor="{anchor}"{extra}>{words}</text>')

    def line(self, x1, y1, x2, y2, colour, width=1.0):
        self.out.append(f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" '
                        f'stroke="{colour}" stroke-width="{width}"/>')

    def legend(self):
        x = 20
        for name in self.series:
            self.out.append(f'<rect x="{x}" y="44" width="13" height="13" fill="{self.colours[name]}"/>')
            self.text(x + 19, 55, name, 13)
            x += 45 + 8 * len(name)

    def panel(self, at_x, at_y, title, unit, groups):
        seen = [v for _, bars in groups for bar in bars.values() for v in bar if v > 0]
        if not seen:
            return
        low = 10.0 ** math.floor(math.log10(min(seen)) - 0.15)
        high = 10.0 ** math.ceil(math.log10(max(seen)) + 0.1)
        x0, x1 = at_x + self.LEFT, at_x + self.PANEL_W - self.RIGHT
        y0, y1 = at_y + self.PANEL_H - self.BOTTOM, at_y + self.TOP

        def height(value):
            return y0 - (y0 - y1) * math.log10(max(value, low) / low) / math.log10(high / low)

        self.text(x0, at_y + 22, title, 14, extra=' font-weight="bold"')
        self.text(x1, at_y + 22, unit, 12, "end", ' fill="#555"')
        tick = low
        while tick <= high * 1.01:
            self.line(x0, height(tick), x1, height(tick), "#ddd")
            self.text(x0 - 6, height(tick) + 4, f"{tick:,.0f}" if tick >= 1 else f"{tick:g}", 11, "end")
            tick *= 10
        step = (x1 - x0) / len(groups)
        for i, (name, bars) in enumerate(groups):
            self.group(x0 + i * step, step, name, bars, height, y0)
        self.line(x0, y0, x1, y0, "#333")

    def group(self, x, step, name, bars, height, y0):
        width = step * 0.8 / len(self.series)
        for i, series in enumerate(self.series):
            if series not in bars:
                continue
            middle, low, high = bars[series]
            left = x + step * 0.1 + i * width
            top = height(middle)
            self.out.append(f'<rect x="{left:.1f}" y="{top:.1f}" width="{width * 0.92:.1f}" '
                            f'height="{y0 - top:.1f}" fill="{self.colours[series]}"/>')
            centre = left + width * 0.46
            self.line(centre, height(low), centre, height(high), "#222", 1.3)
            self.text(centre, height(high) - 4, short_number(middle), 10, "middle", ' fill="#222"')
        self.text(x + step / 2, y0 + 18, name, 12, "middle")

    def write(self, path, panels):
        rows = -(-len(panels) // self.COLUMNS)
        width, height = self.COLUMNS * self.PANEL_W + 20, self.HEAD + rows * self.PANEL_H + 8
        self.text(20, 28, self.title, 17, extra=' font-weight="bold"')
        self.legend()
        for i, (title, unit, groups) in enumerate(panels):
            self.panel(10 + i % self.COLUMNS * self.PANEL_W, self.HEAD + i // self.COLUMNS * self.PANEL_H,
                       title, unit, groups)
        with open(path, "w") as f:
            f.write(f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
                    f'viewBox="0 0 {width} {height}" font-family="DejaVu Sans, sans-serif">\n'
                    '<!-- SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB -->\n'
                    f'<rect width="{width}" height="{height}" fill="white"/>\n')
            f.write("\n".join(self.out) + "\n</svg>\n")
