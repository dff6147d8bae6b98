#!/usr/bin/env python3
"""ci/turns.py KADR RUN SAMPLES ROUNDS [CLIP]…
Holds kadr against the peer of a kept run of `kadr bench`, both at work at the same time and by turns of 50 ms: one is stopped
(SIGSTOP) while the other runs. What slows the machine for a second then slows both, so that a ratio is good to about one
hundredth where separate runs differ by a tenth. For each encoded row of RUN, that peer's own arguments.

Time is the sum of a program's turns, from its start to its end; processor time is what the kernel accounts to it. What is
stopped may still be served by the disk: a sync of some milliseconds can fall into the other's turn.

stdout: an NDJSON line a row: `clip`, `preset`, `by`; `wall_ratio`, `cpu_ratio`, kadr's over the peer's, medians of the rounds,
with `wall_mad`, `cpu_mad`, their median distances from those; `each`, [time, processor time] of all rounds; `cores_busy` and
`peer_cores_busy`, medians over the whole process.
"""

import json
import os
import select
import signal
import statistics
import sys
import tempfile
import time

TURN_S = 0.05


class Runner:
    """A program that is stopped before its first instruction."""

    def __init__(self, command):
        self.pid = os.fork()
        if self.pid == 0:
            try:
                null = os.open("/dev/null", os.O_RDWR)
                for descriptor in range(3):
                    os.dup2(null, descriptor)
                os.kill(os.getpid(), signal.SIGSTOP)
                os.execvp(command[0], command)
            finally:
                os._exit(127)
        self.command, self.wall_s, self.cpu_s = command, 0.0, None
        self.ended = os.pidfd_open(self.pid)
        os.waitpid(self.pid, os.WUNTRACED)

    def turn(self, within_s):
        """Lets it run for so long, or to its end."""
        began = time.monotonic()
        os.kill(self.pid, signal.SIGCONT)
        if not select.select([self.ended], [], [], within_s)[0]:
            os.kill(self.pid, signal.SIGSTOP)
        _, status, usage = os.wait4(self.pid, os.WUNTRACED)
        self.wall_s += time.monotonic() - began
        if not os.WIFSTOPPED(status):
            self.cpu_s = usage.ru_utime + usage.ru_stime
            if status != 0:
                raise SystemExit(f"stop: `{' '.join(self.command)}` failed with status {status}")

    def close(self):
        if self.cpu_s is None:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self.ended)


def pair(first, second):
    """Both commands by turns; their time and processor time."""
    runners = []
    try:
        runners += [Runner(first)]
        runners += [Runner(second)]
        while any(runner.cpu_s is None for runner in runners):
            for runner, other in (runners, runners[::-1]):
                if runner.cpu_s is None:
                    runner.turn(TURN_S if other.cpu_s is None else None)
        return [(runner.wall_s, runner.cpu_s) for runner in runners]
    finally:
        for runner in runners:
            runner.close()


def peer_command(program, row, source, output):
    """What the run told the peer, with this source and this output: they were its own folder's."""
    given = row["arguments"]
    source_at = given.index("-i") + 1
    return [program, *given[:source_at], source, *given[source_at + 1 : -1], output]


def kadr_command(kadr, row, source, output):
    preset, *words = row["preset"].split()
    changes = []
    for word in words:
        name, _, value = word.partition(":")
        changes += [f"--{name}", value] if value else [f"--{name}"]
    return [kadr, "convert", source, "-o", output, "--preset", preset, *changes, "--device", "cpu", "--force"]


def distance(values):
    middle = statistics.median(values)
    return statistics.median(abs(value - middle) for value in values)


def main():
    kadr, run, samples, rounds = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
    wanted = sys.argv[5:]
    # A signal ends it by way of `finally`: nothing stays behind that is stopped.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    lines = [json.loads(line) for line in open(run)]
    peers = {peer["name"]: peer["program"] for peer in lines[0]["peers"]}
    with tempfile.TemporaryDirectory(prefix="kadr-turns-") as folder:
        for row in lines[1:]:
            if row["by"] not in peers or row["rung"] != "cpu" or row["jobs"] != 1 or not row["arguments"]:
                continue
            if wanted and not any(clip in row["clip"] for clip in wanted):
                continue
            source = os.path.join(samples, row["clip"])
            extension = os.path.splitext(row["arguments"][-1])[1]
            ours = kadr_command(kadr, row, source, os.path.join(folder, "kadr" + extension))
            theirs = peer_command(peers[row["by"]], row, source, os.path.join(folder, "peer" + extension))
            each = []
            for number in range(rounds):
                if number % 2 == 0:
                    own, other = pair(ours, theirs)
                else:
                    other, own = pair(theirs, ours)
                each.append((own, other))
            wall = [own[0] / other[0] for own, other in each]
            cpu = [own[1] / other[1] for own, other in each]
            print(json.dumps({
                "clip": row["clip"], "preset": row["preset"], "by": row["by"],
                "wall_ratio": round(statistics.median(wall), 4), "wall_mad": round(distance(wall), 4),
                "cpu_ratio": round(statistics.median(cpu), 4), "cpu_mad": round(distance(cpu), 4),
                "cores_busy": round(statistics.median(own[1] / own[0] for own, _ in each), 3),
                "peer_cores_busy": round(statistics.median(other[1] / other[0] for _, other in each), 3),
                "each": [[round(a, 4), round(b, 4)] for a, b in zip(wall, cpu)],
            }), flush=True)


main()
