"""The part of LogQL that the stand-in understands: selectors, line filters, and sums of counts and bytes over time.

Written from the documentation "LogQL: Log query language", "Log queries" and "Metric queries".
"""

import re

UNITS = {
    "ns": 1,
    "us": 1e3,
    "ms": 1e6,
    "s": 1e9,
    "m": 60e9,
    "h": 3600e9,
    "d": 86400e9,
    "w": 7 * 86400e9,
    "y": 365 * 86400e9,
}
MATCHER = re.compile(r'\s*([a-zA-Z_]\w*)\s*(=~|!~|!=|=)\s*("(?:[^"\\]|\\.)*"|`[^`]*`)\s*')
FILTER = re.compile(r'\s*(\|=|!=|\|~|!~)\s*("(?:[^"\\]|\\.)*"|`[^`]*`)')
METRIC = re.compile(
    r"^(?:sum\s*(?:by\s*\(([^)]*)\)\s*)?\()?\s*(count_over_time|bytes_over_time|rate)\s*\((.*)\[([0-9a-z]+)\]\s*\)\s*\)?\s*(?:by\s*\(([^)]*)\))?\s*$",
    re.S,
)


class ParseError(Exception):
    """What Loki answers with 400."""


def duration_ns(text):
    parts = re.findall(r"(\d+(?:\.\d+)?)(ns|us|ms|[smhdwy])", text)
    if not parts or "".join(a + b for a, b in parts) != text:
        raise ParseError(f'parse error at line 1, col 1: syntax error: unexpected IDENTIFIER "{text}"')
    return int(sum(float(number) * UNITS[unit] for number, unit in parts))


def unquote(text):
    return (
        text[1:-1] if text[0] == "`" else re.sub(r"\\(.)", lambda m: {"n": "\n", "t": "\t"}.get(m[1], m[1]), text[1:-1])
    )


class Selector:
    """A log query: which streams, which of their lines."""

    def __init__(self, text):
        self.text = text.strip()
        self.matchers, rest = self._matchers(self.text)
        self.filters = self._filters(rest)

    def _matchers(self, text):
        if not text.startswith("{"):
            word = re.match(r"\S*", text)[0][:20]
            raise ParseError(
                f"parse error at line 1, col 1: syntax error: unexpected {'$end' if not word else 'IDENTIFIER'}"
            )
        found, at = [], 1
        while at < len(text) and text[at] != "}":
            match = MATCHER.match(text, at)
            if not match:
                raise ParseError(
                    f"parse error at line 1, col {at + 1}: syntax error: unexpected {text[at : at + 1] or '$end'}, expecting STRING"
                )
            found.append((match[1], match[2], unquote(match[3])))
            at = match.end()
            if text[at : at + 1] == ",":
                at += 1
        if at >= len(text):
            raise ParseError(f"parse error at line 1, col {at + 1}: syntax error: unexpected $end")
        if not any(self._needs_value(*matcher) for matcher in found):
            raise ParseError(
                "parse error : queries require at least one regexp or equality matcher that does not have an empty-compatible value. "
                'For instance, app=~".*" does not meet this requirement, but app=~".+" will'
            )
        return found, text[at + 1 :]

    @staticmethod
    def _needs_value(_, operator, value):
        return (operator == "=" and value != "") or (operator == "=~" and not re.fullmatch(value, ""))

    def _filters(self, rest):
        found, at = [], 0
        while rest[at:].strip():
            match = FILTER.match(rest, at)
            if not match:
                raise ParseError(
                    f"parse error at line 1, col {len(self.text) - len(rest) + at + 1}: syntax error: unexpected {rest[at:].strip()[:10]}"
                )
            found.append((match[1], unquote(match[2])))
            at = match.end()
        return found

    def takes_stream(self, labels):
        for name, operator, value in self.matchers:
            seen = labels.get(name, "")
            good = seen == value if operator in ("=", "!=") else bool(re.fullmatch(value, seen))
            if good == operator.startswith("!"):
                return False
        return True

    def takes_line(self, line):
        for operator, value in self.filters:
            good = value in line if operator in ("|=", "!=") else bool(re.search(value, line))
            if good == operator.startswith("!"):
                return False
        return True


class Metric:
    """A metric query: what is counted over which time before each moment, summed by which labels."""

    def __init__(self, match):
        self.by = [name.strip() for name in (match[1] or match[5] or "").split(",") if name.strip()]
        self.summed, self.function = match[0].lstrip().startswith("sum"), match[2]
        self.selector, self.range_ns = Selector(match[3]), duration_ns(match[4])

    def value(self, lines):
        if self.function == "bytes_over_time":
            return sum(len(line.encode()) for line in lines)
        return len(lines) / (self.range_ns / 1e9) if self.function == "rate" else len(lines)

    def group(self, labels):
        if not self.summed:
            return labels
        return {name: labels[name] for name in self.by if name in labels}


def parse(text):
    match = METRIC.match(text.strip())
    return Metric(match) if match else Selector(text)
