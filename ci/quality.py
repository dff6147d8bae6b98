#!/usr/bin/env python3
"""ci/bench quality: do the default settings lie on the frontier of rate, quality and processor time?

usage: quality.py KADR FFMPEG JUDGE HANDBRAKE SAMPLES OUT
       quality.py neg JUDGE MADE SOURCE    prints the VMAF-NEG of one output, at its own size

KADR says the arguments by which FFMPEG (the same libx264) does what `play` does; those are run with other presets and
rates. JUDGE is an ffmpeg with libvmaf. Writes OUT.ndjson (every encode) and OUT.svg (the frontier), prints the rows, ends
with one line, and exits non-zero where another setting, or HandBrake's "Fast 1080p30", is better at no more time.
"""
import json
import math
import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor

# Cuts that are of one pace and within HandBrake's 30 frames a second: film, animation, nature, a screen with a face, sport.
CLIPS = [
    ("bbb_trailer_720p_55s.mp4", 12, 5, 24),
    ("cockatoo_720p_14s.mp4", 2, 6, 20),
    ("hello_screencast_cam_720p.mp4", 2, 5, 30),
    ("jellyfish_1080p_10s.mkv", 1, 4, 30),
    ("bikes_640x272.mp4", 2, 6, 25),
    ("city_cc0_mpeg2.mpg", 1, 5, 25),
]
PRESETS = ["ultrafast", "superfast", "veryfast", "faster", "fast", "medium"]
RATES = [17, 20, 23, 26]
DEFAULT = "faster"
# Interpolated bytes and processor time of short clips are no more exact than this.
NOISE = 0.01
HANDBRAKE = "HandBrake Fast 1080p30"


def run(command):
    """Processor seconds of a command and what it began."""
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    said = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit("stop: %s\n%s" % (" ".join(command), said.decode(errors="replace")[-2000:]))
    return usage.ru_utime + usage.ru_stime


def packets(path):
    """Sizes of the packets of pictures, bytes: sound and boxes are the same or another matter."""
    sizes = subprocess.check_output(
        ["ffprobe", "-v", "error", "-select_streams", "v:0", "-show_entries", "packet=size", "-of", "csv=p=0", path])
    return [int(size.strip(b",")) for size in sizes.split()]


def neg(judge, made, source, sized_by, by_number=False):
    """VMAF-NEG of an output, both scaled to the size of one of the files. Pictures meet by their times, or by their numbers:
    programs round times of one pace differently."""
    clock = "settb=1/1000,setpts=N" if by_number else "setpts=PTS-STARTPTS"
    # A matrix that one file names and the other does not would be converted on the way: it is the same one.
    clock += ",setparams=colorspace=bt709:color_primaries=bt709:color_trc=bt709"
    with tempfile.TemporaryDirectory() as folder:
        size = subprocess.check_output(
            ["ffprobe", "-v", "error", "-select_streams", "v:0", "-show_entries", "stream=width,height", "-of", "csv=p=0:s=x",
             sized_by]).decode().split()[0].strip("x").replace("x", ":")
        log = os.path.join(folder, "vmaf.json")
        graph = (
            "[0:v:0]%s,scale=%s:flags=bicubic,format=yuv420p[made];"
            "[1:v:0]%s,scale=%s:flags=bicubic,format=yuv420p[source];"
            "[made][source]libvmaf=n_threads=2:shortest=1:log_fmt=json:log_path=%s:model=version=vmaf_v0.6.1neg\\\\:name=neg"
            % (clock, size, clock, size, log))
        run([judge, "-nostdin", "-v", "error", "-i", made, "-i", source, "-lavfi", graph, "-f", "null", "-"])
        with open(log) as file:
            return json.load(file)["pooled_metrics"]["neg"]["mean"]


def at(curve, x, key):
    """`key` of a curve (rows ascending in neg) at VMAF-NEG `x`, its logarithm by straight lines; beyond the ends by the last."""
    curve = sorted(curve, key=lambda row: row["neg"])
    upper = next((i for i, row in enumerate(curve) if row["neg"] >= x), len(curve) - 1)
    upper = max(upper, 1)
    low, high = curve[upper - 1], curve[upper]
    share = (x - low["neg"]) / (high["neg"] - low["neg"])
    return math.exp(math.log(low[key]) + share * (math.log(high[key]) - math.log(low[key])))


def mean(values):
    values = list(values)
    return math.exp(sum(math.log(value) for value in values) / len(values))


def measure(kadr, ffmpeg, judge, handbrake, samples, folder):
    rows = []
    for name, start, length, fps in CLIPS:
        clip = name.split(".")[0]
        source = os.path.join(folder, clip + ".mkv")
        run([ffmpeg, "-nostdin", "-v", "error", "-y", "-ss", str(start), "-i", os.path.join(samples, "natural", name), "-t",
             str(length), "-an", "-vf", "scale=trunc(iw/2)*2:trunc(ih/2)*2,fps=%d,setsar=1,format=yuv420p" % fps, "-c:v", "ffv1",
             source])
        saved = os.path.join(folder, clip + ".ndjson")
        run([kadr, "bench", source, "--preset", "play", "--device", "cpu", "--rounds", "3", "--against", ffmpeg, "--save", saved])
        with open(saved) as file:
            said = [json.loads(line) for line in file]
        own = next(row for row in said if row["type"] == "row" and row["by"] == "kadr")
        peer = next(row for row in said if row["type"] == "row" and row["by"] != "kadr")
        if peer["same_packets"] not in ("identical", "but_for_sei"):
            sys.exit("stop: %s: ffmpeg's packets are not kadr's (%s)" % (clip, peer["same_packets"]))
        words = peer["arguments"]
        default_rate = words[words.index("-crf:v") + 1]

        def encode(preset, rate, words=words, source=source, clip=clip):
            made = os.path.join(folder, "%s-%s-%s.mp4" % (clip, preset, rate))
            command = [ffmpeg] + list(words)
            command[command.index("-i") + 1] = source
            command[command.index("-preset:v") + 1] = preset
            command[command.index("-crf:v") + 1] = str(rate)
            command[-1] = made
            return {"clip": clip, "by": preset, "rate": float(rate), "cpu_s": run(command), "made": made}

        def by_handbrake(source=source, clip=clip):
            made = os.path.join(folder, clip + "-handbrake.mp4")
            cpu_s = run([handbrake, "-Z", "Fast 1080p30", "--crop-mode", "none", "-i", source, "-o", made])
            return {"clip": clip, "by": HANDBRAKE, "rate": 22.0, "cpu_s": cpu_s, "made": made}

        new = [encode(preset, rate) for preset in PRESETS for rate in RATES]
        new.append(dict(encode(DEFAULT, default_rate), by="default"))
        new.append(by_handbrake())
        frames = len(packets(source))
        for row in new:
            sizes = packets(row["made"])
            if len(sizes) != frames:
                sys.exit("stop: %s by %s has %d pictures, its source %d" % (clip, row["by"], len(sizes), frames))
            row["bytes"] = sum(sizes)
        # Each judge has two threads, of which one mostly waits for its decoders.
        with ThreadPoolExecutor(2) as pool:
            for row, score in zip(new, pool.map(lambda row, source=source: neg(judge, row["made"], source, source, True), new)):
                row["neg"] = score
                os.remove(row.pop("made"))
        ours = next(row for row in new if row["by"] == "default")
        ours["kadr_cpu_s"] = own["cpu_s"]["median"]
        print("| %s | %.0f kB | %.2f | %.2f s |" % (clip, ours["bytes"] / 1000, ours["neg"], ours["kadr_cpu_s"]), flush=True)
        rows += new
    return rows


def compare(rows):
    """Of each preset at the default's VMAF-NEG: bytes and processor time, as shares of the default's."""
    points = {}
    clips = sorted({row["clip"] for row in rows})

    def curve(clip, by):
        return [row for row in rows if row["clip"] == clip and row["by"] == by]

    for preset in PRESETS:
        pairs = [(curve(clip, "default")[0], curve(clip, preset)) for clip in clips]
        points[preset] = (
            mean(at(other, ours["neg"], "bytes") / at(curve(ours["clip"], DEFAULT), ours["neg"], "bytes") for ours, other in pairs),
            mean(at(other, ours["neg"], "cpu_s") / at(curve(ours["clip"], DEFAULT), ours["neg"], "cpu_s") for ours, other in pairs),
        )
    # The other way round: kadr's settings at the quality that HandBrake chose, in kadr's own processor time.
    ratios = []
    for clip in clips:
        theirs, ours = curve(clip, HANDBRAKE)[0], curve(clip, "default")[0]
        own = curve(clip, DEFAULT)
        overhead = ours["kadr_cpu_s"] / ours["cpu_s"]
        ratios.append((theirs["bytes"] / at(own, theirs["neg"], "bytes"),
                       theirs["cpu_s"] / (at(own, theirs["neg"], "cpu_s") * overhead)))
    points[HANDBRAKE] = (mean(ratio[0] for ratio in ratios), mean(ratio[1] for ratio in ratios))
    return points


def draw(points, header):
    """Bytes over processor time, both against the default; down and left is better."""
    width, height, left, top = 760, 420, 70, 70
    xs, ys = [point[1] for point in points.values()], [point[0] for point in points.values()]
    x_range = (math.log(min(xs) * 0.85), math.log(max(xs) * 1.6))
    y_range = (min(ys) * 0.95, max(ys) * 1.05)

    def place(cpu, size):
        x = left + (math.log(cpu) - x_range[0]) / (x_range[1] - x_range[0]) * (width - left - 30)
        y = top + (1 - (size - y_range[0]) / (y_range[1] - y_range[0])) * (height - top - 50)
        return x, y

    parts = []
    for cpu in (0.25, 0.5, 1, 2, 4, 8):
        if x_range[0] < math.log(cpu) < x_range[1]:
            x, _ = place(cpu, 1)
            parts.append('<path class="a" d="M%.0f %d V%d"/><text class="s" x="%.0f" y="%d" text-anchor="middle">%g</text>'
                         % (x, top, height - 50, x, height - 34, cpu))
    step = 0.5 if y_range[1] - y_range[0] > 1.5 else 0.1
    size = math.ceil(y_range[0] / step) * step
    while size < y_range[1]:
        _, y = place(1, size)
        parts.append('<path class="a" d="M%d %.0f H%d"/><text class="s" x="%d" y="%.0f" text-anchor="end">%.1f</text>'
                     % (left, y, width - 30, left - 8, y + 4, size))
        size += step
    line = " L".join("%.1f %.1f" % place(points[preset][1], points[preset][0]) for preset in PRESETS)
    parts.append('<path class="l" d="M%s"/>' % line)
    for name, (size, cpu) in points.items():
        x, y = place(cpu, size)
        own = name == DEFAULT
        colour = "#d55e00" if own else "#e69f00" if name == HANDBRAKE else "#0072b2"
        parts.append('<circle cx="%.1f" cy="%.1f" r="%d" fill="%s"/><text x="%.1f" y="%.1f">%s</text>'
                     % (x, y, 6 if own else 4, colour, x + 9, y - 6, name + (" (kadr)" if own else "")))
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img" aria-label="rate, quality and time">'
        "<style>text{font:12px system-ui,sans-serif;fill:#222}.t{font-size:15px;font-weight:600}.s{fill:#666;font-size:11px}"
        ".a{stroke:#ccc}.l{fill:none;stroke:#0072b2;stroke-width:1.5}@media(prefers-color-scheme:dark){text{fill:#ddd}.s{fill:#aaa}"
        ".b{fill:#161616}.a{stroke:#444}}</style>"
        '<rect class="b" width="100%%" height="100%%" fill="#fff"/><text class="t" x="10" y="22">Bytes at equal VMAF-NEG over processor time</text>'
        '<text class="s" x="10" y="40">%s</text><text class="s" x="10" y="56">%s</text>%s'
        '<text class="s" x="%d" y="%d" text-anchor="middle">processor time, against the default settings</text></svg>\n'
        % (width, height, width, height, header[0], header[1], "".join(parts), (width + left) // 2, height - 12))


def main():
    if sys.argv[1:2] == ["neg"]:
        judge, made, source = sys.argv[2:]
        print("%.3f" % neg(judge, made, source, made))
        return
    kadr, ffmpeg, judge, handbrake, samples, out = sys.argv[1:]
    print("| clip | bytes of pictures | VMAF-NEG | processor time of kadr |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        rows = measure(kadr, ffmpeg, judge, handbrake, samples, folder)
    with open(out + ".ndjson", "w") as file:
        for row in rows:
            file.write(json.dumps(row) + "\n")
    points = compare(rows)
    print("\n| settings | bytes at equal VMAF-NEG | processor time |\n|---|---|---|")
    for name, (size, cpu) in points.items():
        print("| %s | %.3f | %.3f |" % (name, size, cpu))
    with open("/proc/cpuinfo") as file:
        model = next((line.split(":")[1].strip() for line in file if line.startswith("model name")), "unknown")
    date = subprocess.check_output(["date", "+%Y-%m-%d"]).decode().strip()
    version = subprocess.check_output([ffmpeg, "-version"]).decode().split("\n")[0].split(" Copyright")[0]
    with open(out + ".svg", "w") as file:
        file.write(draw(points, (
            "%d clips of 4 to 6 s; libx264 of %s, each preset at crf %s, set equal in VMAF-NEG" % (
                len(CLIPS), version, ", ".join(map(str, RATES))),
            "%s, %d cores, %s; ci/bench quality" % (model, os.cpu_count(), date))))
    better = [name for name, (size, cpu) in points.items() if name != DEFAULT and size < 1 - NOISE and cpu <= 1 + NOISE]
    size, cpu = points[HANDBRAKE]
    behind = 1 / size > 1 + NOISE or 1 / cpu > 1 + NOISE
    print("\nquality: %s; %.3f of the bytes of %s at equal VMAF-NEG, in %.3f of its processor time" % (
        "nothing is better in no more time" if not better else "better in no more time: " + ", ".join(better),
        1 / size, HANDBRAKE, 1 / cpu))
    sys.exit(bool(better) or behind)


if __name__ == "__main__":
    main()
