"""Plays people on the chat page of `kadr demo` in headless Chromium, and takes pictures of it. Started by ci/screens.

Speaks WebDriver with chromedriver, by hand: it needs nothing but Python. Everything goes through the page.
"""

import base64
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
KADR, CLIPS, OUT = sys.argv[1], os.path.abspath(sys.argv[2]), sys.argv[3]
HELLO = os.path.abspath("tests/data/hello_mpeg2_mp2.mpeg")
WAIT_S = 120
ANNA, BORIS, CHEN, GROUP = 101, 102, 103, -1001


def clip(name):
    return os.path.join(CLIPS, name)


class Browser:
    """One headless Chromium."""

    def __init__(self, folder):
        self.driver = subprocess.Popen(["chromedriver", "--port=0"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        port = None
        while port is None:
            line = self.driver.stdout.readline()
            if not line:
                sys.exit("stop: chromedriver did not start")
            found = re.search(r"started successfully on port (\d+)", line)
            port = found and found[1]
        self.base = f"http://127.0.0.1:{port}/session"
        arguments = ["--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--hide-scrollbars", "--lang=en",
                     "--disable-background-networking", "--disable-component-update", "--disable-sync",
                     "--force-device-scale-factor=1.5", f"--user-data-dir={folder}"]
        options = {"args": arguments, "binary": shutil.which("chromium")}
        wanted = {"capabilities": {"alwaysMatch": {"browserName": "chrome", "goog:chromeOptions": options}}}
        self.base += "/" + self.call("POST", "", wanted)["sessionId"]

    def call(self, verb, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.base + path, data, {"Content-Type": "application/json"}, method=verb)
        try:
            with urllib.request.urlopen(request, timeout=WAIT_S) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            raise RuntimeError(json.load(error)["value"]["message"].split("\n")[0]) from None

    def cdp(self, method, **params):
        return self.call("POST", "/goog/cdp/execute", {"cmd": method, "params": params})

    def open(self, url, width, height, phone=False, theme="light"):
        self.cdp("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=2 if phone else 1.5, mobile=phone)
        self.cdp("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": theme}])
        self.call("POST", "/url", {"url": url})
        self.until("return document.querySelectorAll('.column.on .chat.on').length > 0")

    def run(self, script, *args):
        return self.call("POST", "/execute/sync", {"script": script, "args": list(args)})

    def until(self, script, *args, wait_s=WAIT_S):
        deadline = time.monotonic() + wait_s
        while True:
            value = self.run(script, *args)
            if value:
                return value
            if time.monotonic() > deadline:
                raise RuntimeError(f"did not happen within {wait_s} s: {script[:160]}")
            time.sleep(0.1)

    def click(self, element):
        self.run("arguments[0].scrollIntoView({block: 'nearest'})", element)
        self.call("POST", f"/element/{element[ELEMENT]}/click", {})

    def type(self, element, text):
        self.call("POST", f"/element/{element[ELEMENT]}/value", {"text": text})

    def shot(self, name):
        time.sleep(0.5)
        picture = self.cdp("Page.captureScreenshot", format="png")["data"]
        path = os.path.join(OUT, name)
        with open(path, "wb") as file:
            file.write(base64.b64decode(picture))
        print(f"      picture {path}")

    def close(self):
        try:
            self.call("DELETE", "")
        finally:
            self.driver.terminate()
            self.driver.wait(30)


class Person:
    """Somebody at her column of the page."""

    def __init__(self, browser, user):
        self.browser, self.user = browser, user
        # Her column and the chat that is open in it.
        self.find = f"""
            const column = [...document.querySelectorAll('.column')][{[ANNA, BORIS, CHEN].index(user)}], chat = column.querySelector('.chat.on');
            const rows = [...chat.querySelectorAll('.list > .row:not(.sending)')], last = rows.at(-1);
        """

    def see(self, script, *args):
        return self.browser.until(self.find + script, *args)

    def go(self, title):
        self.browser.click(self.see("return [...column.querySelectorAll('.card')].find(card => card.textContent.includes(arguments[0]))", title))
        self.see("return [...column.querySelectorAll('.card.on')].some(card => card.textContent.includes(arguments[0]))", title)

    def start(self):
        self.browser.click(self.see("return chat.querySelector('.start')"))
        self.answer()

    def say(self, text):
        self.browser.type(self.see("return chat.querySelector('textarea')"), text + "\n")

    def rows(self):
        return self.browser.run(self.find + "return rows.length")

    def answer(self, words=None, more=None):
        """Waits until the last message is the bot's, perhaps with some words, and perhaps one more than there were."""
        return self.see("""
            const words = arguments[0] && new RegExp(arguments[0], 'i');
            return last && !last.classList.contains('me') && rows.length > (arguments[1] ?? -1) && (!words || words.test(last.textContent)) && last""", words, more)

    def press(self, *wanted):
        """The newest button whose callback data or label is wanted; the first that there is of these."""
        # An edit may replace the button between the two calls.
        for last in (False, False, True):
            try:
                return self.browser.click(self.button(*wanted))
            except RuntimeError as error:
                if last or "stale" not in str(error):
                    raise

    def button(self, *wanted):
        return self.see("""
            const keys = [...chat.querySelectorAll('.keys button')].reverse();
            for (const one of arguments[0]) { const key = keys.find(key => key.dataset.data === one || key.textContent.includes(one)); if (key) return key; }""", list(wanted))

    def pick(self, paths, kind, caption="", separately=False):
        """Through the clip's menu and the file picker."""
        self.browser.click(self.see("return chat.querySelector('.write .icon')"))
        line = self.see("return [...chat.querySelectorAll('.menu.kinds button')][arguments[0]]",
                        ["media", "document", "animation", "video_note", "voice", "audio", "sticker"].index(kind))
        # The system's own dialogue cannot be driven: the field behind it gets the paths.
        self.browser.run("HTMLInputElement.prototype.click = function () { this.dataset.asked = 1; }")
        self.browser.click(line)
        self.browser.type(self.see("return chat.querySelector('input[type=file]')"), "\n".join(paths))
        self.sheet(caption, separately)

    def drop(self, paths, videos=False, caption="", separately=False, shot=None):
        """Drags files over the chat and lets go."""
        box = self.see("const box = chat.getBoundingClientRect(); return [box.left, box.top, box.width, box.height]")
        x, y = box[0] + box[2] / 2, box[1] + box[3] * (0.72 if videos else 0.28)
        data = {"items": [], "files": paths, "dragOperationsMask": 1}
        for kind in ("dragEnter", "dragOver", "dragOver"):
            self.browser.cdp("Input.dispatchDragEvent", type=kind, x=x, y=y, data=data)
        if shot:
            self.browser.shot(shot)
        self.browser.cdp("Input.dispatchDragEvent", type="drop", x=x, y=y, data=data)
        self.sheet(caption, separately)

    def sheet(self, caption, separately):
        before = self.rows()
        if caption:
            self.browser.type(self.see("return chat.querySelector('.sheet .field')"), caption)
        if separately:
            self.browser.click(self.see("return [...chat.querySelectorAll('.sheet label input')].at(-1)"))
        self.browser.click(self.see("return chat.querySelector('.sheet .primary')"))
        self.see("return !chat.querySelector('.sheet') && !chat.querySelector('.sending') && rows.length > arguments[0]", before)

    def plays(self, selector, nth=-1, until_s=0.4):
        """Clicks a player and sees its time go on, so far. Answers the time."""
        button = self.see("const all = [...chat.querySelectorAll(arguments[0] + ' .play, ' + arguments[0] + ' .round-button')]; return all.at(arguments[1])", selector, nth)
        self.browser.click(button)
        media = self.see("const all = [...chat.querySelectorAll(arguments[0] + ' video, ' + arguments[0] + ' audio')]; return all.at(arguments[1])", selector, nth)
        self.browser.until("return arguments[0].currentTime > arguments[1] && !arguments[0].paused", media, until_s)
        return self.browser.run("arguments[0].pause(); return arguments[0].currentTime", media)

    def result(self, words=None):
        """Waits until the bot's newest message holds a file."""
        return self.see("""
            const bots = rows.filter(row => !row.classList.contains('me')), newest = bots.at(-1);
            return newest && newest.querySelector('.frame, .round, .sound, .sticker, .file') && (!arguments[0] || newest.textContent.includes(arguments[0])) && newest""", words)


STEPS = []


def step(name):
    def keep(work):
        STEPS.append((name, work))
        return work
    return keep


@step("a conversation in English")
def english(browser, page):
    browser.open(page + "?users=101,102", 1180, 880)
    anna, boris = Person(browser, ANNA), Person(browser, BORIS)
    anna.start()
    anna.drop([HELLO])
    anna.answer("about")
    anna.press("c:play", "Play")
    anna.result()
    boris.start()
    boris.drop([clip("otpusk.mkv"), clip("holiday.mkv")])
    boris.answer("2 файла")
    boris.press("c:play", "Видео")
    boris.result()
    print(f"      plays to {anna.plays('.frame', until_s=2.5):.1f} s")
    browser.run("document.activeElement.blur()")
    browser.shot("chat.png")


@step("a conversation in Russian")
def russian(browser, page):
    browser.open(page + "?users=102", 430, 940, theme="dark")
    boris = Person(browser, BORIS)
    boris.say("/queue")
    boris.answer()
    boris.drop([clip("fractal.avi")], shot="chat-drop.png")
    boris.answer("около")
    boris.press("c:small", "Меньше", "c:play")
    boris.result()
    print(f"      plays to {boris.plays('.frame'):.1f} s")
    browser.run("document.activeElement.blur()")
    browser.shot("chat-ru.png")


@step("commands are offered as they are typed")
def commands(browser, page):
    browser.open(page + "?users=103", 430, 760)
    chen = Person(browser, CHEN)
    browser.click(chen.see("return chat.querySelector('.start')"))
    chen.answer()
    browser.type(chen.see("return chat.querySelector('textarea')"), "/")
    chen.see("return chat.querySelectorAll('.menu.commands.on button').length > 3")
    browser.shot("chat-commands.png")
    browser.type(chen.see("return chat.querySelector('textarea')"), "he\n")
    chen.see("return rows.some(row => row.classList.contains('me') && row.textContent.includes('/help'))")
    chen.answer()


@step("every kind of message")
def kinds(browser, page):
    browser.open(page + "?users=103", 430, 1760)
    chen = Person(browser, CHEN)
    chen.go("Film club")
    chen.pick([clip("sea.mp4"), clip("photo.jpg"), clip("dusk.mp4")], "media", "Last weekend")
    chen.pick([clip("round.mp4")], "video_note")
    chen.pick([clip("sticker.webm")], "sticker")
    chen.pick([clip("fractal.mp4")], "animation")
    chen.pick([clip("voice.ogg")], "voice")
    chen.pick([clip("song.mp3")], "audio")
    chen.pick([clip("photo.jpg")], "media", "A photo")
    chen.pick([clip("holiday.mkv"), clip("fractal.avi")], "document", "Two files")
    print(f"      round {chen.plays('.round'):.1f} s, voice {chen.plays('.voice'):.1f} s, album {chen.plays('.grid', 0):.1f} s")
    moving = chen.see("const all = [...chat.querySelectorAll('.sticker video, .film video[loop]')]; return all.length > 1 && all.every(one => one.currentTime > 0.2 && one.muted && !one.paused)")
    assert moving
    browser.run("document.activeElement.blur()")
    browser.shot("chat-kinds.png")


@step("a group, an answer, a command with the bot's name")
def group(browser, page):
    browser.open(page + "?users=101,102,103", 1240, 720)
    anna, boris = Person(browser, ANNA), Person(browser, BORIS)
    for person in (anna, boris):
        person.go("Film club")
    boris.say("This one does not play. Anyone?")
    boris.drop([clip("holiday.mkv")])
    anna.see("return last.textContent.includes('holiday.mkv')")
    row = anna.see("return last")
    browser.run("arguments[0].dispatchEvent(new MouseEvent('dblclick', {bubbles: true}))", row)
    anna.see("return chat.querySelector('.answering.on')")
    anna.say("/convert@kadr_bot")
    anna.see("return rows.some(row => row.querySelector('.quote') && row.textContent.includes('/convert'))")
    boris.drop([clip("otpusk.mkv")], caption="/convert@kadr_bot")
    anna.see("return last.querySelector('.keys button')")
    anna.press("c:play", "x:")
    anna.see("return column.querySelector('.toast, .body > .dim .sheet')")
    browser.shot("chat-group.png")
    browser.run("document.querySelectorAll('.body > .dim .primary').forEach(ok => ok.click())")
    boris.press("c:play", "x:")


@step("a phone")
def phone(browser, page):
    browser.open(page, 390, 800, phone=True)
    anna = Person(browser, ANNA)
    anna.result()
    assert anna.see("const list = chat.querySelector('.list'); return list.scrollHeight - list.scrollTop - list.clientHeight < 2")
    wide = browser.run("return document.documentElement.scrollWidth")
    assert wide <= 390, f"the page is {wide} px wide"
    browser.shot("chat-phone.png")


def main():
    os.makedirs(OUT, exist_ok=True)
    data = tempfile.mkdtemp(prefix="kadr-screens-")
    log = open(os.path.join(data, "demo.log"), "w", encoding="utf-8")
    demo = subprocess.Popen([KADR, "demo", "--port", "0", "--dir", data], stdout=subprocess.PIPE, stderr=log, text=True)
    right = 0
    browser = None
    try:
        page = re.search(r"http://\S+/", demo.stdout.readline())[0]
        browser = Browser(os.path.join(data, "profile"))
        wanted = os.environ.get("KADR_SCREENS", "")
        for name, work in STEPS:
            if wanted and not re.search(wanted, name):
                continue
            began = time.monotonic()
            try:
                work(browser, page)
                verdict, right = "ok", right + 1
            except (RuntimeError, AssertionError) as error:
                verdict = f"WRONG: {error}"
                browser.shot(f"wrong-{work.__name__}.png")
            print(f"{name:<52} {time.monotonic() - began:6.1f} s  {verdict}")
    finally:
        if browser:
            browser.close()
        demo.terminate()
        demo.wait(60)
        log.close()
        shutil.rmtree(data, ignore_errors=True)
    print(f"{right}/{len(STEPS)}")
    sys.exit(right != len(STEPS))


main()
