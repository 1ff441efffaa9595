#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""An example agent: it plans a trip. It fetches flights and the weather, and lets a child process
write the summary."""
import os
import subprocess
import sys
import urllib.request


def fetch(url):
    with urllib.request.urlopen(url, timeout=10) as page:
        return page.read().decode()


flights = fetch("https://api.company-internal.com/flights")
print("agent: flights fetched", flush=True)
weather = fetch("https://weather.service.com/lisbon")
print("agent: weather fetched", flush=True)
summariser = os.path.join(os.path.dirname(os.path.abspath(__file__)), "summarise.py")
done = subprocess.run([sys.executable, summariser, "--style=short"], input=flights + weather,
                      text=True, check=False)
print("agent: done", flush=True)
sys.exit(done.returncode)
