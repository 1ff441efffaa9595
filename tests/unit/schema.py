#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The JSON Schema and the parser accept and refuse the same: `schema.py LINNET SCHEMA [SEED]`.

Makes documents from one seed, good ones and ones with one mistake, and asks both. What a schema
cannot say is in no document:

- rules that repeat, shadow, contradict or deny each other, the same limit or alert twice;
- public suffixes, and what IDNA refuses;
- dates that no calendar has, the bounds of times ("25h", "0s"), ranges the wrong way round;
- networks with bits after the prefix, addresses that only look like IPv6;
- patterns of UNIX sockets that stand for everything, or are too long;
- lengths in bytes of text that is not ASCII, and numbers where text is meant, as a destination 7;
- duplicate keys, and everything that YAML says before there is a document.
"""
import json
import random
import subprocess
import sys
import tempfile
from pathlib import Path

from jsonschema import Draft7Validator

DOCUMENTS = 3000
SEED = 20261128


class Maker:
    """Values by what they are for. A number that is used once keeps rules apart."""

    def __init__(self, rng):
        self.rng = rng
        self.n = 0
        self.wrong = 0  # how many mistakes were made

    def pick(self, good, bad):
        """One of the good values, or the mistake that this document has."""
        if self.mistake and self.rng.random() < 0.03:
            self.mistake = False
            self.wrong += 1
            return self.rng.choice(bad)
        return self.rng.choice(good)

    def destination(self, names_only=False):
        self.n += 1
        n = self.n
        good = [f"h{n}.example.com", f"H{n}.Example.COM.", f"*.z{n}.example.org", f"_s{n}.test",
                f"bücher{n}.example", f"*.bücher{n}.example", f"xn--bcher-kva.h{n}.example"]
        if not names_only:
            good += [f"10.{n >> 8 & 255}.{n & 255}.7", f"11.{n >> 8 & 255}.{n & 255}.0/24",
                     f"2001:db8:{n:x}::7", f"2001:db8:{n:x}::/64"]
        bad = ["", "*", "*.", "a.*.b", "a b", "https://a.example/x", "a.example:443", "1.2.3",
               "10.0.0.256", "10.0.0.0/33", "-/x", "a..b", ".", f"{'x' * 64}.example", "a.example/",
               "user@a.example", "*a.example", None, [], {}, "2001:db8::/129", "é é"]
        return self.pick(good, bad)

    def port(self):
        one = [443, "443", 1, 65535, "8000-8100", "1-1"]
        good = [*one, [80, 443], ["8000-8100", 9000], [1]]
        bad = [0, 65536, "0", "0443", "65536", "https", -1, 1.5, "80,443", "80-", "-80", [], [0],
               [80, "any"], ["x"], {}, None, "", True, "1-65536", [[1]], "80 - 90"]
        return self.pick([*good, "any", "ANY"], bad)

    def protocol(self):
        return self.pick(["TCP", "tcp", "UDP", "Udp", "any", "ANY"],
                         ["", "SCTP", 6, None, ["TCP"], {}, "TCP "])

    def purpose(self):
        return self.pick(["why", "", None, "two\nlines\tand more", 7, True, "x" * 1024, "wörtlich"],
                         [[], {}, ["why"], "x" * 1025, "bell\u0007"])

    def expires(self):
        return self.pick(["2027-01-31", "2027-01-31T18:00:00Z", "2027-01-31t18:00:00.5+02:00",
                          "2027-12-01 00:00:60z"],
                         ["", "never", "2027-13-01", "2027-1-1", "2027-01-31T18:00Z", 2027, None,
                          "2027-01-31T24:00:00Z", "2027-01-31T18:00:00", [], "2027-01-31Z"])

    def maybe(self, rule, **keys):
        for key, make in keys.items():
            if self.rng.random() < 0.5:
                rule[key] = make()
        return rule

    def spoil(self, mapping, required):
        """A key too many or, of those that must be there, one too few."""
        if self.mistake and self.rng.random() < 0.03:
            self.mistake = False
            self.wrong += 1
            if required and self.rng.random() < 0.5:
                del mapping[self.rng.choice(required)]
            else:
                mapping[self.rng.choice(["colour", "Port", "x", "purposes", "0"])] = "y"
        return mapping

    def expected(self):
        rule = {"destination": self.destination(), "port": self.port(), "protocol": self.protocol()}
        self.maybe(rule, purpose=self.purpose, expires=self.expires)
        return self.spoil(rule, ["destination", "port", "protocol"])

    def dynamic(self):
        if self.rng.random() < 0.5:
            return self.destination(True)
        rule = self.maybe({"name": self.destination(True)}, port=self.port, protocol=self.protocol,
                          expires=self.expires)
        return self.spoil(rule, ["name"])

    def deny(self):
        if self.rng.random() < 0.5:
            return self.destination()
        rule = self.maybe({"destination": self.destination()}, port=self.port,
                          protocol=self.protocol, purpose=self.purpose)
        return self.spoil(rule, ["destination"])

    def socket(self):
        self.n += 1
        return self.pick([f"/run/s{self.n}", f"@s{self.n}", f"/run/s{self.n}/*/bus"],
                         ["", "run/x", None, {}, [], "~/x"])

    def unix(self):
        if self.rng.random() < 0.5:
            return self.socket()
        rule = self.maybe({"path": self.socket()}, purpose=self.purpose, expires=self.expires)
        return self.spoil(rule, ["path"])

    def inbound(self):
        self.n += 1
        rule = {"port": self.n % 60000 + 1, "protocol": self.protocol()}
        if self.rng.random() < 0.3:
            rule["from"] = self.pick([f"10.1.{self.n & 255}.0/24", "2001:db8::/32", "192.0.2.1"],
                                     ["", "a.example", "10.0.0.0/33", None, [], 7])
        self.maybe(rule, purpose=self.purpose, expires=self.expires)
        return self.spoil(rule, ["port", "protocol"])

    def resolver(self):
        self.n += 1
        return self.pick([f"192.0.2.{self.n & 255}:{self.n}", f"[2001:db8::{self.n:x}]:5353",
                          f"2001:db8::{self.n:x}", f"10.{self.n >> 8 & 255}.{self.n & 255}.1"],
                         ["", "dns.example", "192.0.2.1:0", "192.0.2.1:x", "192.0.2", None, {}, []])

    def dns(self):
        return self.spoil({"grace": self.pick(["0s", "10m", "24h", "600s"],
                                              ["10", 10, "1d", "", None, "1.5h", "-1s", [], " 1s"])},
                          [])

    def limit(self):
        self.n += 1
        limit = {"period": f"{self.n}s"}
        if self.rng.random() < 0.03 and self.mistake:
            self.mistake = False
            self.wrong += 1
            if self.rng.random() < 0.5:
                return limit
            limit["period"] = self.rng.choice(["1", 1, "1d", None, [], ""])
        which = self.rng.randrange(3)
        if which != 0:
            limit["bytes_out"] = self.pick(["10MB", "1B", "5kB", "5KB", "7GiB", "999999999TB"],
                                           ["10", 10, "0B", "1.5MB", "10mb", "10 MB", None, [], "",
                                            "01MB", "1000000000B", "MB", "5kiB"])
        if which != 1:
            limit["new_destinations"] = self.pick([1, "20", 999999999],
                                                  [0, -1, "0", "many", 1000000000, None, [], 1.5])
        if self.rng.random() < 0.5:
            limit["destination"] = self.destination()
        return self.spoil(limit, ["period"])

    def alert(self):
        self.n += 1
        which = self.rng.randrange(4)
        if which == 0:
            entry = {"exec": self.pick([["/bin/x"], ["/bin/x", "-a", "", "a b", 7]],
                                       [[], "/bin/x", ["x"], [""], [7], ["/bin/x", []], None, {},
                                        ["/"], ["/x"] * 65])}
            return self.spoil(entry, [])
        if which == 1:
            entry = {"webhook": self.pick([f"https://h{self.n}.example/x?y=z#f", "https://h",
                                           "http://127.0.0.1:8080", "https://[2001:db8::1]:443/"],
                                          ["", "h.example", "ftp://h", "https://", "https://u@h/",
                                           "https://h:0/", "https://h:65536", "https://h/a b", None,
                                           7, [], "https://:443", "http://h.example/",
                                           "http://127.0.0.1.h/", "http://127.0.0.1@h/"])}
            if self.rng.random() < 0.5:
                entry["token_file"] = self.pick(["/etc/t"], ["t", "", "/", None, [], "/a b"])
            return self.spoil(entry, [])
        if which == 2:
            return self.spoil({"syslog": self.pick(["udp://h:514", "udp://[::1]:601", "udp://h",
                                                    "/dev/log", "unix:/run/x"],
                                                   ["", "h:514", "udp://", "udp://h:0", "udp://h/x",
                                                    "/", "tls://h", "tcp://h:1", "unix:x", "unix:/",
                                                    None, [], 7])}, [])
        return self.pick([f"https-{self.n}"], ["mail", "", None, 7, [], {}]) if self.broken_word() \
            else {"exec": ["/bin/x", str(self.n)]}

    def broken_word(self):
        """A word that is none; the good ones stand in the list at most once."""
        if self.mistake and self.rng.random() < 0.05:
            self.mistake = False
            self.wrong += 1
            return True
        return False

    def items(self, make, most=3):
        if self.mistake and self.rng.random() < 0.02:
            self.mistake = False
            self.wrong += 1
            return self.rng.choice([[], None, "x", {}, 7])
        return [make() for _ in range(self.rng.randint(1, most))]

    def alerts(self):
        got = self.items(self.alert)
        if isinstance(got, list) and got:
            words = ["stderr", "log", "journal", "syslog"]
            got = self.rng.sample(words, self.rng.randint(0, 4)) + got
        return got

    def document(self):
        self.mistake = self.rng.random() < 0.6
        doc = {"agent_name": self.pick(["a", "Agent 7", 7, True, "größer", "x" * 128],
                                       ["", None, [], {}, "  ", "two\nlines", "x" * 129]),
               "expected_outbound": self.items(self.expected)}
        self.maybe(doc,
                   allowed_dynamic_resolution=lambda: self.items(self.dynamic),
                   deny=lambda: self.items(self.deny),
                   expected_unix=lambda: self.items(self.unix),
                   expected_inbound=lambda: self.items(self.inbound),
                   resolvers=lambda: self.items(self.resolver),
                   dns=self.dns,
                   limits=lambda: self.items(self.limit),
                   alert=self.alerts,
                   mode=lambda: self.pick(["monitor", "block", "kill", "freeze"],
                                          ["", "Block", "off", None, [], 7]),
                   on_failure=lambda: self.pick(["open", "closed"], ["", "close", None, False, []]),
                   loopback=lambda: self.pick(["judge", "allow"], ["", "deny", None, True, {}]))
        return self.spoil(doc, ["agent_name", "expected_outbound"])


def refused_by(linnet, paths):
    done = subprocess.run([linnet, "check", "--json", *paths], capture_output=True, text=True,
                          check=False)
    messages = {}
    for line in done.stdout.splitlines():
        said = json.loads(line)
        if said["severity"] == "error":
            messages.setdefault(said["file"], said["text"])
    return messages


def main():
    linnet, schema_path = sys.argv[1:3]
    rng = random.Random(int(sys.argv[3]) if len(sys.argv) > 3 else SEED)
    schema = json.loads(Path(schema_path).read_text())
    Draft7Validator.check_schema(schema)
    validator = Draft7Validator(schema)
    maker = Maker(rng)
    documents = [maker.document() for _ in range(DOCUMENTS)]
    with tempfile.TemporaryDirectory() as directory:
        paths = [f"{directory}/{i}.yaml" for i in range(DOCUMENTS)]
        for path, doc in zip(paths, documents):
            Path(path).write_text(json.dumps(doc, ensure_ascii=False))
        refused = refused_by(linnet, paths)
    wrong, accepted = [], 0
    for path, doc in zip(paths, documents):
        problem = next(iter(validator.iter_errors(doc)), None)
        accepted += problem is None
        if (problem is None) != (path not in refused):
            wrong.append(f"{json.dumps(doc)}\n  schema: {problem and problem.message}\n"
                         f"  parser: {refused.get(path)}")
    print("1..2")
    print("ok 1 - same" if not wrong else f"not ok 1 - {len(wrong)} documents differ")
    for one in wrong[:5]:
        print("# " + one.replace("\n", "\n# "))
    # Both kinds must be there, or the comparison says nothing.
    many = DOCUMENTS // 5
    print(f"{'ok' if many < accepted < DOCUMENTS - many else 'not ok'} 2 - {accepted} of "
          f"{DOCUMENTS} accepted")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
