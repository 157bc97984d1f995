"""Where the names lead that clients outside use: only a person changes DNS, and this is what says that it was done."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from engine.contracts.host import Host
from engine.errors import NotObservedError
from engine.finding import say
from engine.verdict import Judgement, passed, waiting

LOOK_S: Final = 30.0
RESOLVE: Final = """\
command -v getent >/dev/null || exit 127
for name in "$@"; do
  printf '%s\\t%s\\n' "$name" "$(getent ahosts "$name" | awk '{print $1}' | sort -u | tr '\\n' ' ')"
done
"""


def read_addresses(host: Host, names: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Return the addresses that each name has on a host, none where it has none; raises CouldNotLookError."""
    wanted = list(names)
    result = host.run(["sh", "-c", RESOLVE, "resolve", *wanted], timeout_s=LOOK_S)
    lines = [line.partition("\t") for line in result.text.splitlines()]
    if result.exit_code or [name for name, _, _ in lines] != wanted:
        raise NotObservedError(
            say(
                "{name}: could not resolve {count} names: exit {exit_code}. Try: ssh {name} getent ahosts "
                "{first_wanted}",
                name=host.name,
                count=len(wanted),
                exit_code=result.exit_code,
                first_wanted=wanted[0],
            )
        )
    return {name: tuple(addresses.split()) for name, _, addresses in lines}


def judge_public_names(
    seen: Mapping[str, Mapping[str, tuple[str, ...]]], target: str, wanted: frozenset[str], source: str
) -> Judgement:
    """Judge whether every name leads to the target's addresses only, on every host that was asked; until then it waits
    for a person.

    `seen`: by host, by name, the addresses.
    """
    asked = sum(len(names) for names in seen.values())
    astray = [
        say("{name} on {host}: {addresses}", name=name, host=host, addresses=", ".join(addresses) or say("no address"))
        for host, names in seen.items()
        for name, addresses in names.items()
        if not addresses or not set(addresses) <= wanted
    ]
    where = f"{target} ({', '.join(sorted(wanted))})"
    if astray or not asked:
        return waiting(
            say(
                "{count} of {asked} answers do not lead to {where}: {first_astray}. The relay on {source} answers "
                "until then. Change DNS, wait for its time to live, then run this again",
                count=len(astray),
                asked=asked,
                where=where,
                first_astray=astray[0] if astray else say("nothing was asked"),
                source=source,
            ),
            tuple(astray),
        )
    return passed(
        say("{asked} of {asked} answers on {seen} lead to {where}", asked=asked, seen=", ".join(seen), where=where),
        answers=asked,
    )
