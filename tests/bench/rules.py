# SPDX-License-Identifier: Apache-2.0
"""Policies of many rules: how long one takes to read, and that a connect costs the same."""
import statistics
import subprocess
import time

import lab as places
from measures import paired, percentile, scaled
from report import row

MANY, FEW = 100000, 10


def policy(n):
    """The benchmark's own rules among n: addresses, networks, wildcards, denied names. A name that is
    expected is looked up by linnet itself, which would be measured too."""
    own, _, end = places.POLICY.partition("resolvers:")
    lines, denied = [own.rstrip()], ["deny:"]
    for i in range(own.count("destination:"), n):
        site = f"{i}.example{i % 997}"
        if i % 4 == 3:
            denied.append(f'  - {{destination: "host{site}.net", purpose: "rule {i}"}}')
            continue
        destination = (f"10.{i >> 16 & 255}.{i >> 8 & 255}.{i & 255}",
                       f"2001:db8:{i >> 16:x}:{i & 65535:x}::/64", f"*.zone{site}.org")[i % 4]
        lines.append(f'  - destination: "{destination}"\n    port: [443, 8443]\n'
                     f'    protocol: "TCP"\n    purpose: "rule {i}"')
    return "\n".join([*lines, *denied, f"resolvers:{end}"])


def many_rules(lab, sizes):
    files = {}
    for n in FEW, MANY:
        files[n] = lab.folder / f"rules-{n}.yaml"
        files[n].write_text(policy(n))
    took = []
    for _ in range(max(3, sizes.pairs)):
        begin = time.monotonic()
        subprocess.run([lab.linnet, "check", files[MANY]], check=True, stdout=subprocess.DEVNULL)
        took.append(time.monotonic() - begin)
    yield row(f"a policy of {MANY:,} rules is read", statistics.median(took), "s", bar=("<", 1),
              spread=[percentile(took, 0.25), percentile(took, 0.75)],
              note=f"{files[MANY].stat().st_size / 1e6:.1f} MB")
    arguments = ["connect", places.BATCHING, scaled(sizes, 30000), 1, 1, 0]
    yield paired(f"connect+close, {MANY:,} rules against {FEW}", sizes,
                 lambda: lab.watched(*arguments, policy=files[FEW]),
                 lambda: lab.watched(*arguments, policy=files[MANY]), bar=("<=", 1.05))
