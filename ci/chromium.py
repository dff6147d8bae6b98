"""Serves MP4 files with ranges to one page in headless Chromium, which plays each to its end and reports.

Started by ci/chromium. The page knows nothing of the files; what it reports is held against ffprobe here.
"""

import http.server
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import urllib.parse

KINDS = 20  # the issue asks for so many outputs of different kinds
RATE = 4  # playback rate
FILE_S = 150  # longest that a file may take to play
LONGEST_S = 120  # a longer film is no other kind

PAGE = """<!doctype html><meta charset=utf-8><title>play</title><script>
const play = (name) => new Promise((done) => {
  const video = document.createElement("video");
  const tell = (what) => { video.remove(); done({name, what, width: video.videoWidth, height: video.videoHeight,
    time: video.currentTime, duration: video.duration, error: video.error && video.error.message,
    frames: video.getVideoPlaybackQuality().totalVideoFrames}); };
  const timer = setTimeout(() => tell("timeout"), LIMIT);
  video.onended = () => { clearTimeout(timer); tell("ended"); };
  video.onerror = () => { clearTimeout(timer); tell("error"); };
  video.muted = true; video.defaultPlaybackRate = RATE; video.playbackRate = RATE;
  video.src = "/file/" + encodeURIComponent(name);
  document.body.append(video);
  video.play().catch(() => {});
});
addEventListener("load", async () => {
  for (const name of await (await fetch("/list")).json())
    await fetch("/result", {method: "POST", body: JSON.stringify(await play(name))});
  await fetch("/done", {method: "POST"});
});
</script><body>"""


def probe(path):
    """Shown size, duration, and what kind of file it came from."""
    text = subprocess.run(
        ["ffprobe", "-v", "error", "-show_streams", "-show_format", "-of", "json", path],
        capture_output=True, text=True, check=True).stdout
    facts = json.loads(text)
    video = [s for s in facts["streams"] if s["codec_type"] == "video"]
    size = (0, 0)
    if video:
        sar = [int(n) for n in video[0].get("sample_aspect_ratio", "1:1").split(":")]
        wide = round(video[0]["width"] * sar[0] / sar[1]) if all(sar) else video[0]["width"]
        size = (wide, video[0]["height"])
        turns = [d["rotation"] for d in video[0].get("side_data_list", []) if "rotation" in d]
        if turns and abs(turns[0]) % 180 == 90:
            size = size[::-1]
    return size, float(facts["format"]["duration"])


def choose(folder, everything):
    """Every file, or KINDS of different sources: the fewest of one extension and size first."""
    names = sorted(n for n in os.listdir(folder) if n.endswith(".mp4"))
    facts = {}
    for name in names:
        try:
            facts[name] = probe(os.path.join(folder, name))
        except (subprocess.CalledProcessError, KeyError):
            if everything:
                facts[name] = ((0, 0), 0.0)
    if everything:
        return facts
    groups = {}
    for name, (size, duration) in facts.items():
        if size != (0, 0) and duration < LONGEST_S:
            source = os.path.splitext(name)[0]
            groups.setdefault(os.path.splitext(source)[1].lower(), []).append(name)
    chosen = []
    while len(chosen) < KINDS and any(groups.values()):
        for extension in sorted(groups):
            if groups[extension] and len(chosen) < KINDS:
                chosen.append(groups[extension].pop(0))
    return {name: facts[name] for name in chosen}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    folder, names, results, finished = "", [], [], threading.Event()

    def log_message(self, *_):
        pass

    def answer(self, body, kind, code=200, more=()):
        self.send_response(code)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        for key, value in more:
            self.send_header(key, value)
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        if self.path == "/":
            page = PAGE.replace("LIMIT", str(FILE_S * 1000)).replace("RATE", str(RATE))
            return self.answer(page.encode(), "text/html")
        if self.path == "/list":
            return self.answer(json.dumps(self.names).encode(), "application/json")
        name = urllib.parse.unquote(self.path.removeprefix("/file/"))
        if name not in self.names:
            return self.answer(b"", "text/plain", 404)
        with open(os.path.join(self.folder, name), "rb") as file:
            data = file.read()
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if not wanted:
            return self.answer(data, "video/mp4", 200, [("Accept-Ranges", "bytes")])
        first = int(wanted[1])
        last = min(int(wanted[2] or len(data) - 1), len(data) - 1)
        span = ("Content-Range", f"bytes {first}-{last}/{len(data)}")
        return self.answer(data[first:last + 1], "video/mp4", 206, [("Accept-Ranges", "bytes"), span])

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path == "/result":
            self.results.append(json.loads(body))
        else:
            self.finished.set()
        self.answer(b"", "text/plain")


def reasons(result, size, duration):
    """What is wrong with one report; empty where nothing is."""
    wrong = []
    if result["what"] != "ended":
        wrong.append(f"{result['what']}: {result['error']}")
    if (result["width"], result["height"]) != size:
        wrong.append(f"shown as {result['width']}x{result['height']}, ffprobe says {size[0]}x{size[1]}")
    if abs((result["time"] or 0) - duration) > 0.25:
        wrong.append(f"ended at {result['time']} s of {duration} s")
    if size != (0, 0) and not result["frames"]:
        wrong.append("no frame was decoded")
    return wrong


def main():
    folder, everything = sys.argv[1], sys.argv[2:] == ["all"]
    facts = choose(folder, everything)
    if not facts or (not everything and len(facts) < KINDS):
        sys.exit(f"stop: {len(facts)} files to play in {folder}")
    Handler.folder, Handler.names = folder, list(facts)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with tempfile.TemporaryDirectory() as profile:
        browser = subprocess.Popen(
            ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run",
             "--autoplay-policy=no-user-gesture-required", "--disable-background-networking",
             "--disable-component-update", "--disable-sync", f"--user-data-dir={profile}",
             f"http://127.0.0.1:{server.server_port}/"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        limit = sum(duration for _, duration in facts.values()) + 30 * len(facts) + 60
        Handler.finished.wait(limit)
        browser.terminate()
        browser.wait(30)
    right = 0
    told = {result["name"]: result for result in Handler.results}
    for name, (size, duration) in facts.items():
        wrong = reasons(told[name], size, duration) if name in told else ["no report"]
        right += not wrong
        print(f"{name:<52} {size[0]}x{size[1]:<6} {duration:>8.3f} s  {'; '.join(wrong) or 'ended'}")
    print(f"{right}/{len(facts)}")
    sys.exit(right != len(facts))


main()
