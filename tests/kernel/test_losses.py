# SPDX-License-Identifier: Apache-2.0
"""Silence is never how data is lost: what does not fit is counted to the event, and said."""
import re
import subprocess

from faults import RING_FULL, lost
from netlab import OTHER
from policies import WEATHER_ONLY
from watch import actor, stopped


def seen_events(watch):
    """Every record that stands for one event of the kernel side."""
    return sum(len(watch.of(kind)) for kind in ("flow-open", "flow-close", "process"))


def end(watch):
    watch.process.stdin.close()
    return watch.wait(60)


def test_a_full_ring_is_counted_to_the_event_and_said(start):
    """The monitor is stopped while its agent floods: what was seen and what was lost add up."""
    n = 30000
    watch = start.run(WEATHER_ONLY, "sh", "-c",
                      f"echo ready; read go; exec {actor('flood')} {n} {OTHER} 7005",
                      stdin=subprocess.PIPE)
    watch.stdout.wait(lambda line: line == "ready")
    with stopped(watch):
        watch.process.stdin.write(b"go\n")
        watch.process.stdin.flush()
        watch.stdout.wait(lambda line: line == "flooded", 60)
    notice = watch.wait_alert(lambda a: a.title == "EVENTS LOST")
    assert int(notice["Count"]) > 0 and notice["Reason"] == RING_FULL
    assert end(watch) == 0, watch.text()
    gone = lost(watch, RING_FULL)
    made = 2 * n + 3  # and two execs, of sh and of flood, and one exit
    assert gone > 0 and seen_events(watch) + gone == made
    told = watch.of("summary")[0]["lost"]
    assert told >= gone
    assert re.search(rf"losses +{told} events lost", watch.text())


def test_a_flood_that_is_drained_hides_nothing(start):
    """At full rate with the monitor at work: no event is missing without being counted."""
    n = 20000
    watch = start.run(WEATHER_ONLY, actor("flood"), n, OTHER, "7005", stdin=subprocess.PIPE)
    watch.stdout.wait(lambda line: line == "flooded", 60)
    assert end(watch) == 0, watch.text()
    made = 2 * n + 2  # and an exec and an exit
    assert seen_events(watch) + lost(watch, RING_FULL) == made
    assert len(watch.flow_alerts()) == 1


def test_a_full_disk_is_counted_and_said_and_does_not_end_the_watch(start):
    watch = start.linnet("run", "-p", start.policy(WEATHER_ONLY), "--log", "/dev/full", "--", "sh",
                         "-c", f"{actor('brood')} 20 {actor('blip')} {OTHER} 7001; exit 6", log=False)
    assert watch.wait() == 6, watch.text()
    assert len(watch.flow_alerts()) == 1
    assert "No space left on device" in watch.text()
    missing = re.search(r"(\d+) records are missing in /dev/full", watch.text())
    assert int(missing.group(1)) > 60, "a header, 20 flows, 21 forks, execs and exits"
