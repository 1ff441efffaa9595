# SPDX-License-Identifier: Apache-2.0
"""Waiting for what happens instead of for time to pass."""
import ctypes
import json
import os
import select
import threading
import time

SLOWER = 6 if "LINNET_VM" in os.environ else 1  # a machine in software
DEADLINE_S = 20 * SLOWER
_libc = ctypes.CDLL(None, use_errno=True)
_IN_MODIFY, _IN_CREATE, _IN_MOVED_TO = 0x2, 0x100, 0x80


class Items:
    """A growing list that threads add to and others wait on."""

    def __init__(self, what):
        self.what = what
        self.list = []
        self.closed = False
        self._changed = threading.Condition()

    def add(self, item):
        with self._changed:
            self.list.append(item)
            self._changed.notify_all()

    def close(self):
        with self._changed:
            self.closed = True
            self._changed.notify_all()

    def wait(self, predicate, timeout=DEADLINE_S):
        """The first item that fits; an AssertionError with all that came when none does."""
        end = time.monotonic() + timeout
        seen = 0
        with self._changed:
            while True:
                for item in self.list[seen:]:
                    if predicate(item):
                        return item
                seen = len(self.list)
                left = end - time.monotonic()
                if self.closed or left <= 0:
                    raise AssertionError(
                        f"{self.what}: not seen {'before its end' if self.closed else 'in time'}; "
                        f"there was:\n" + "\n".join(map(str, self.list[-80:])))
                self._changed.wait(left)

    def wait_closed(self, timeout=DEADLINE_S):
        end = time.monotonic() + timeout
        with self._changed:
            while not self.closed:
                left = end - time.monotonic()
                if left <= 0:
                    raise AssertionError(f"{self.what}: no end in {timeout} s; there was:\n"
                                         + "\n".join(map(str, self.list[-80:])))
                self._changed.wait(left)
        return self.list


def read_lines(descriptor, items):
    """Fills items with the lines (without their end) that come from a pipe or terminal, until it
    closes."""
    if isinstance(items, str):
        items = Items(items)
    # Its own: were the caller's closed meanwhile, the number could come to mean another one.
    own = os.dup(descriptor)

    def pump():
        pending = b""
        while True:
            try:
                more = os.read(own, 65536)
            except OSError:  # a terminal whose other side is gone
                more = b""
            if not more:
                break
            *whole, pending = (pending + more).split(b"\n")
            for line in whole:
                items.add(line.decode(errors="surrogateescape"))
        if pending:
            items.add(pending.decode(errors="surrogateescape"))
        os.close(own)
        items.close()

    threading.Thread(target=pump, daemon=True).start()
    return items


class Tail:
    """The JSON records of a log file that grows, as Items; the file need not be there yet."""

    def __init__(self, path):
        self.records = Items(f"log {path}")
        self._path = path
        self._closing = threading.Lock()
        self._stop_read, self._stop_write = os.pipe()
        self._inotify = _libc.inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK)
        if self._inotify < 0 or _libc.inotify_add_watch(
                self._inotify, os.fsencode(os.path.dirname(path)),
                _IN_MODIFY | _IN_CREATE | _IN_MOVED_TO) < 0:
            raise OSError(ctypes.get_errno(), "inotify")
        self._thread = threading.Thread(target=self._pump, daemon=True)
        self._thread.start()

    def _pump(self):
        pending, offset, stopping = b"", 0, False
        while True:
            try:
                with open(self._path, "rb") as log:
                    log.seek(offset)
                    more = log.read()
            except FileNotFoundError:
                more = b""
            offset += len(more)
            *whole, pending = (pending + more).split(b"\n")
            for line in whole:
                self.records.add(json.loads(line))
            if stopping:
                break
            ready, _, _ = select.select([self._inotify, self._stop_read], [], [])
            stopping = self._stop_read in ready
            if self._inotify in ready:
                os.read(self._inotify, 65536)
        if pending:
            self.records.add({"type": "cut", "text": pending.decode(errors="replace")})
        os.close(self._inotify)
        os.close(self._stop_read)
        self.records.close()

    def finish(self):
        """Nothing more will be written: the records close when what is there has been read."""
        with self._closing:
            if self._stop_write >= 0:
                os.close(self._stop_write)
                self._stop_write = -1

    def stop(self):
        """Reads what is there to the end and returns all records."""
        self.finish()
        self._thread.join()
        return self.records.list


def wait_exit(pid, timeout=DEADLINE_S):
    """Waits until a process that need not be a child has ended."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        ready, _, _ = select.select([descriptor], [], [], timeout)
        assert ready, f"process {pid} still runs after {timeout} s"
    finally:
        os.close(descriptor)
