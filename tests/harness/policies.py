# SPDX-License-Identifier: Apache-2.0
"""Policies of tests as text."""
import json


def policy(*expected, dynamic=(), resolvers=(), name="test_agent"):
    """expected: "HOST PORT PROTOCOL" each; dynamic: names or suffixes."""
    lines = [f"agent_name: {json.dumps(name)}"]
    if expected:
        lines.append("expected_outbound:")
    for rule in expected:
        destination, port, protocol = rule.split()
        port = port if port.isdigit() else json.dumps(port)
        lines += [f"  - destination: {json.dumps(destination)}", f"    port: {port}",
                  f"    protocol: {protocol}", "    purpose: test"]
    for key, values in (("allowed_dynamic_resolution", dynamic), ("resolvers", resolvers)):
        if values:
            lines += [f"{key}:", *(f"  - {json.dumps(v)}" for v in values)]
    return "\n".join(lines) + "\n"


# The agent may look up weather.service.com and reach it; nothing else.
WEATHER_ONLY = policy("weather.service.com 443 TCP")
