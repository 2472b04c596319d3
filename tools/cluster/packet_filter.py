"""Which rules of the packet filter are the cluster's; pure.

kube-proxy and the kubelet name their chains KUBE-*, the network plugins CNI-*; a machine may have
CNI chains of another network, which carry that network's name in their comments.
"""

import re

from tools.cluster.addresses import NETWORK

SHARED = re.compile(r"CNI-HOSTPORT-")
OF_ONE_POD = re.compile(r"CNI-(DN-)?[0-9a-f]{16,}$")


def removal(saved: str) -> str:
    """What `iptables-restore --noflush` has to read to undo the cluster's part of `saved`."""
    sections = [_section(table, lines) for table, lines in _tables(saved).items()]
    return "".join(section for section in sections if section)


def _tables(saved: str) -> dict[str, list[str]]:
    tables: dict[str, list[str]] = {}
    lines: list[str] = []
    for line in saved.splitlines():
        if line.startswith("*"):
            lines = tables.setdefault(line[1:], [])
        elif line.startswith((":", "-A")):
            lines.append(line)
    return tables


def _section(table: str, lines: list[str]) -> str:
    chains = [line[1:].split()[0] for line in lines if line.startswith(":")]
    rules = [line for line in lines if line.startswith("-A")]
    doomed = {chain for chain in chains if chain.startswith("KUBE-") or _is_ours(chain, rules)}
    if not any(_is_foreign(chain, rules) for chain in chains):
        doomed |= {chain for chain in chains if SHARED.match(chain)}
    if not doomed:
        return ""
    jumps = [rule for rule in rules if _target(rule) in doomed and rule.split()[1] not in doomed]
    steps = [
        *(f"-D{rule[2:]}" for rule in jumps),
        *(f"-F {chain}" for chain in sorted(doomed)),
        *(f"-X {chain}" for chain in sorted(doomed)),
    ]
    return "\n".join([f"*{table}", *steps, "COMMIT", ""])


def _is_ours(chain: str, rules: list[str]) -> bool:
    return bool(OF_ONE_POD.match(chain)) and any(
        f'name: \\"{NETWORK}\\"' in rule for rule in rules if _concerns(rule, chain)
    )


def _is_foreign(chain: str, rules: list[str]) -> bool:
    return bool(OF_ONE_POD.match(chain)) and not _is_ours(chain, rules)


def _concerns(rule: str, chain: str) -> bool:
    return rule.split()[1] == chain or _target(rule) == chain


def _target(rule: str) -> str:
    words = rule.split()
    return words[words.index("-j") + 1] if "-j" in words else ""
