#!/usr/bin/env python3
"""ci/turns.py KADR RESIDENT RUN SAMPLES ROUNDS [CLIP]…
Holds kadr against the peer of a kept run of `kadr bench`, all at work at the same time and by turns of 50 ms: the others are
stopped (SIGSTOP) while one runs. What slows the machine for a second then slows all, so that a ratio is good to about one
hundredth where separate runs differ by a tenth. For each encoded row of RUN, that peer's own arguments.

Three do the same work: the engine in a process that stays (RESIDENT, `benches/resident.rs`: the job, as the bot has it), the
process `KADR convert`, and the peer's process. The one that stays has done the work once before.

In each round the one that stays does the work once more before, alone: for how many cores are kept busy, which is the cores
of the machine less what the kernel counts as idle (/proc/stat, every 10 ms; what interrupts and others take of a core is not
idle). From the first picture at the encoder to its last packet; and while the encoder was full, from its first packet to its
last picture: x264 gives none before it has seen some 40.

Time is the sum of a program's turns, from its start, or from its job, to its end; processor time is what the kernel accounts to
the process, and of a job what its report says. What is stopped may still be served by the disk: a sync of some milliseconds
can fall into another's turn.

stdout: an NDJSON line a row: `clip`, `preset`, `by`; for `job` and `process`: `wall_ratio`, `cpu_ratio`, kadr's over the
peer's, medians of the rounds, with `wall_mad`, `cpu_mad`, their median distances from those, `cores_busy`, its median, and
`each`, [time, processor time] of all rounds; `peer_cores_busy`; `encode_cores_busy`, `full_cores_busy`, medians, and
`full_s`, how long the encoder was full; `null` where it never was.
"""

import json
import os
import select
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time

TURN_S = 0.05
LOOK_EVERY_S = 0.01


class Process:
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
        self.done = os.pidfd_open(self.pid)
        os.waitpid(self.pid, os.WUNTRACED)

    def turn(self, within_s):
        """Lets it run for so long, or to its end."""
        began = time.monotonic()
        os.kill(self.pid, signal.SIGCONT)
        if not select.select([self.done], [], [], within_s)[0]:
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
        os.close(self.done)


class Job:
    """A job of a process that stays, and is stopped between its jobs."""

    def __init__(self, resident, job):
        self.resident, self.report, self.wall_s, self.cpu_s = resident, None, 0.0, None
        resident.stdin.write(json.dumps(job).encode() + b"\n")
        resident.stdin.flush()

    def turn(self, within_s):
        pid = self.resident.pid
        began = time.monotonic()
        os.kill(pid, signal.SIGCONT)
        said = select.select([self.resident.stdout], [], [], within_s)[0]
        os.kill(pid, signal.SIGSTOP)
        # Not reaped: whether it ended is for the pipe to say.
        os.waitid(os.P_PID, pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
        self.wall_s += time.monotonic() - began
        if said:
            report = self.resident.stdout.readline()
            if not report:
                raise SystemExit("stop: the process that stays has ended")
            self.report = json.loads(report)
            self.cpu_s = self.report["cpu_s"]

    def close(self):
        pass


class Idle:
    """How long the cores have stood idle since the machine was started, from one moment to another."""

    def __enter__(self):
        self.looks, self.over = [], False
        self.thread = threading.Thread(target=self.watch)
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over = True
        self.thread.join()

    def watch(self):
        ticks_s = os.sysconf("SC_CLK_TCK")
        while True:
            last = self.over
            with open("/proc/stat") as stat:
                counts = stat.readline().split()
            self.looks.append((time.monotonic(), (int(counts[4]) + int(counts[5])) / ticks_s))
            if last:
                return
            time.sleep(LOOK_EVERY_S)

    def at(self, moment):
        """Between two looks it is taken to have grown evenly."""
        for (before, had), (after, has) in zip(self.looks, self.looks[1:]):
            if before <= moment <= after:
                return had + (moment - before) / (after - before) * (has - had)
        raise SystemExit("stop: the idle cores were not watched at the time")

    def busy(self, span):
        """Cores that were busy in a span of [from, to]; nothing of no span."""
        if span is None:
            return None
        return os.cpu_count() - (self.at(span[1]) - self.at(span[0])) / (span[1] - span[0])


def alone(make):
    """A job with nothing else at work: cores busy while it encodes, and while its encoder is full, and for how long that is."""
    with Idle() as idle:
        job = make()
        job.turn(None)
        ended = time.monotonic()
        time.sleep(2 * LOOK_EVERY_S)
    began = ended - job.report["wall_s"]
    span = lambda of_job: of_job and [began + of_job[0], began + of_job[1]]
    encoded, full = span(job.report["encoded_s"]), span(job.report["encoder_full_s"])
    return idle.busy(encoded), idle.busy(full), full and full[1] - full[0]


def middle(values):
    """The median of those that there are, rounded."""
    known = [value for value in values if value is not None]
    return round(statistics.median(known), 3) if known else None


def stay(program):
    """The process that stays, stopped."""
    resident = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    os.kill(resident.pid, signal.SIGSTOP)
    os.waitid(os.P_PID, resident.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
    return resident


def by_turns(makers):
    """All of them by turns, from the first; their time and processor time."""
    runners = []
    try:
        for make in makers:
            runners.append(make())
        while working := [runner for runner in runners if runner.cpu_s is None]:
            for runner in working:
                runner.turn(TURN_S if len(working) > 1 else None)
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


def held(ours, theirs):
    """The figures of one of ours against the peer, both (time, processor time) a round."""
    wall, cpu = ([own[at] / other[at] for own, other in zip(ours, theirs)] for at in (0, 1))
    return {
        "wall_ratio": round(statistics.median(wall), 4), "wall_mad": round(distance(wall), 4),
        "cpu_ratio": round(statistics.median(cpu), 4), "cpu_mad": round(distance(cpu), 4),
        "cores_busy": round(cores_busy(ours), 3),
        "each": [[round(a, 4), round(b, 4)] for a, b in zip(wall, cpu)],
    }


def cores_busy(rounds):
    return statistics.median(cpu_s / wall_s for wall_s, cpu_s in rounds)


def main():
    kadr, program, run, samples, rounds = *sys.argv[1:5], int(sys.argv[5])
    wanted = sys.argv[6:]
    # A signal ends it by way of `finally`: nothing stays behind that is stopped.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    lines = [json.loads(line) for line in open(run)]
    peers = {peer["name"]: peer["program"] for peer in lines[0]["peers"]}
    resident = stay(program)
    try:
        with tempfile.TemporaryDirectory(prefix="kadr-turns-") as folder:
            for row in lines[1:]:
                if row["by"] not in peers or row["rung"] != "cpu" or row["jobs"] != 1 or not row["arguments"]:
                    continue
                if wanted and not any(clip in row["clip"] for clip in wanted):
                    continue
                source = os.path.join(samples, row["clip"])
                extension = os.path.splitext(row["arguments"][-1])[1]
                output = lambda by: os.path.join(folder, by + extension)
                job = {"source": source, "output": output("job"), "recipe": row["preset"]}
                makers = [
                    lambda: Job(resident, job),
                    lambda: Process(kadr_command(kadr, row, source, output("kadr"))),
                    lambda: Process(peer_command(peers[row["by"]], row, source, output("peer"))),
                ]
                by_turns(makers[:1])
                each, busy = [[], [], []], []
                for number in range(rounds):
                    busy.append(alone(makers[0]))
                    order = [(number + at) % 3 for at in range(3)]
                    for at, figures in zip(order, by_turns([makers[at] for at in order])):
                        each[at].append(figures)
                print(json.dumps({
                    "clip": row["clip"], "preset": row["preset"], "by": row["by"],
                    "job": held(each[0], each[2]), "process": held(each[1], each[2]),
                    "peer_cores_busy": round(cores_busy(each[2]), 3),
                    **dict(zip(("encode_cores_busy", "full_cores_busy", "full_s"), map(middle, zip(*busy)))),
                }), flush=True)
    finally:
        resident.kill()
        resident.wait()


main()
