// Files as a reader sees them: films, round films, stickers, animations, voices, music, photos, documents, albums.
import { make, button, size, clock, playIcon, hash } from "./words.js";

const url = file => "/media/" + encodeURIComponent(file);
const WIDE = 380, TALL = 440;

export function fileLine(m, t) {
  const link = Object.assign(make("a", "file"), { href: url(m.file), download: m.name || "file" }), tell = make("div");
  const name = m.name || t.kinds[m.media] || m.media, extension = (name.includes(".") ? name.split(".").pop() : m.media).slice(0, 4);
  const badge = make("i", "", extension);
  if (m.thumbnail_file) { badge.className = "pictured"; badge.style.backgroundImage = `url(${url(m.thumbnail_file)})`; badge.textContent = ""; }
  else badge.style.background = `hsl(${hash(extension) % 360} 55% 55%)`;
  tell.append(make("b", "", name), make("span", "", size(m.size, t)));
  link.append(badge, tell);
  return link;
}

/// One player at a time, as in the messenger.
let playing = null;
function sole(media) {
  media.addEventListener("play", () => { if (playing && playing !== media) playing.pause(); playing = media; });
}

function frame(m, kind) {
  const box = make("div", "frame " + kind), ratio = Math.max(.5, Math.min(2.4, (m.width || 16) / (m.height || 9)));
  box.style.aspectRatio = ratio;
  box.style.width = Math.round(Math.min(WIDE, TALL * ratio)) + "px";
  return box;
}

/// A film with its first picture; a press plays it in place.
function film(m, t, failed) {
  const box = frame(m, "film"), video = Object.assign(make("video"), { src: url(m.file), preload: "metadata", playsInline: true });
  if (m.thumbnail_file) video.poster = url(m.thumbnail_file);
  const play = button("play", "", () => { video.controls = true; box.classList.add("started"); video.play().catch(() => {}); });
  play.innerHTML = playIcon(false); play.ariaLabel = t.kinds.video;
  const pill = make("span", "pill", m.duration ? clock(m.duration) : t.kinds.video);
  video.onloadedmetadata = () => { if (!m.duration) pill.textContent = clock(video.duration); };
  video.onclick = event => { if (!video.controls) { event.preventDefault(); play.click(); } };
  video.onended = () => { video.controls = false; box.classList.remove("started"); };
  // What a browser cannot play is what the bot is for: it is shown as the file that it is.
  video.onerror = () => failed();
  sole(video);
  box.append(video, play, pill);
  return box;
}

function animation(m, t, failed) {
  const box = frame(m, "film"), video = Object.assign(make("video"), { src: url(m.file), muted: true, loop: true, autoplay: true, playsInline: true });
  video.onerror = () => failed();
  video.onclick = () => video.paused ? video.play() : video.pause();
  box.append(video, make("span", "pill", "GIF"));
  return box;
}

function photo(m) {
  const box = frame(m, "film");
  box.append(Object.assign(make("img"), { src: url(m.file), alt: "" }));
  return box;
}

function round(m, failed) {
  const box = make("div", "round"), video = Object.assign(make("video"), { src: url(m.file), preload: "metadata", playsInline: true });
  if (m.thumbnail_file) video.poster = url(m.thumbnail_file);
  const play = button("play", "", () => video.paused ? video.play() : video.pause()), left = make("span", "pill", clock(m.duration));
  play.innerHTML = playIcon(false);
  const ring = '<svg class="ring" viewBox="0 0 100 100"><circle cx="50" cy="50" r="48.6" pathLength="100"/></svg>';
  box.append(video, play, left);
  box.insertAdjacentHTML("beforeend", ring);
  const circle = box.querySelector("circle");
  video.ontimeupdate = () => { const all = video.duration || m.duration || 1; circle.style.strokeDashoffset = 100 - 100 * video.currentTime / all; left.textContent = clock(all - video.currentTime); };
  video.onplay = () => box.classList.add("started");
  video.onpause = () => box.classList.remove("started");
  video.onended = () => { video.currentTime = 0; box.classList.remove("started"); };
  video.onclick = () => play.click();
  video.onerror = () => failed();
  sole(video);
  return box;
}

function sticker(m) {
  const box = make("div", "sticker"), scale = 190 / Math.max(m.width, m.height, 1);
  box.style.width = Math.round(m.width * scale) + "px"; box.style.height = Math.round(m.height * scale) + "px";
  box.append((m.mime || "").startsWith("video") ? Object.assign(make("video"), { src: url(m.file), muted: true, loop: true, autoplay: true, playsInline: true }) : Object.assign(make("img"), { src: url(m.file), alt: "" }));
  return box;
}

const BARS = 46;
/// Loudness by the sound itself; a guess by its name until it is there.
async function loudness(m, bars) {
  try {
    if (m.size > 4e6) return;
    const bytes = await (await fetch(url(m.file))).arrayBuffer(), sound = await new OfflineAudioContext(1, 1, 16000).decodeAudioData(bytes);
    const samples = sound.getChannelData(0), step = Math.max(1, Math.floor(samples.length / BARS)), peaks = [];
    for (let bar = 0; bar < BARS; bar++) { let sum = 0; for (let at = bar * step; at < (bar + 1) * step && at < samples.length; at += 8) sum += samples[at] ** 2; peaks.push(Math.sqrt(sum * 8 / step)); }
    const most = Math.max(...peaks, 1e-6);
    peaks.forEach((peak, bar) => { bars[bar].style.height = 12 + 88 * peak / most + "%"; });
  } catch { /* the guess stays */ }
}

/// Voice or music: a button, a line to seek on, the time.
function sound(m, t) {
  const box = make("div", "sound " + m.media), audio = Object.assign(make("audio"), { src: url(m.file), preload: "metadata" });
  const play = button("round-button", "", () => audio.paused ? audio.play() : audio.pause()), tell = make("div", "tell"), line = make("div", m.media === "voice" ? "wave" : "seek"), under = make("span", "under");
  play.innerHTML = playIcon(false); play.ariaLabel = t.kinds[m.media];
  if (m.media === "voice") {
    const seed = hash(m.file), bars = Array.from({ length: BARS }, (_, bar) => { const one = make("i"); one.style.height = 15 + ((seed >> bar % 13) * (bar + 7) % 70) + "%"; return one; });
    line.append(...bars); loudness(m, bars);
  } else { line.append(make("div")); tell.append(make("b", "", m.title || m.name || t.kinds.audio)); }
  const tellTime = () => {
    const all = Number.isFinite(audio.duration) ? audio.duration : m.duration, share = all ? audio.currentTime / all : 0;
    under.textContent = (audio.currentTime ? clock(audio.currentTime) + " / " : "") + clock(all || m.duration) + (m.media === "audio" ? " · " + size(m.size, t) : "");
    if (m.media === "voice") [...line.children].forEach((bar, at) => bar.classList.toggle("past", at < share * BARS && audio.currentTime > 0));
    else line.firstChild.style.width = 100 * share + "%";
  };
  audio.ontimeupdate = audio.onloadedmetadata = tellTime;
  audio.onplay = () => { play.innerHTML = playIcon(true); };
  audio.onpause = () => { play.innerHTML = playIcon(false); };
  audio.onended = () => { audio.currentTime = 0; };
  line.onclick = event => { const at = line.getBoundingClientRect(); audio.currentTime = (event.clientX - at.left) / at.width * (audio.duration || m.duration || 0); if (audio.paused) audio.play(); };
  sole(audio); tellTime();
  tell.append(line, under); box.append(audio, play, tell);
  return box;
}

/// What a message holds, and how its bubble looks: `film` to the edge, `bare` without one.
export function show(m, t) {
  const holder = make("div", "media");
  const failed = () => { holder.replaceChildren(fileLine(m, t)); const bubble = holder.closest(".bubble"); if (bubble) bubble.classList.remove("film", "bare"); };
  const kinds = { video: film, animation, photo, video_note: (m, t, failed) => round(m, failed), sticker, voice: sound, audio: sound, document: fileLine };
  holder.append((kinds[m.media] || fileLine)(m, t, failed));
  const look = ["video", "animation", "photo"].includes(m.media) ? "film" : ["video_note", "sticker"].includes(m.media) ? "bare" : "";
  return { holder, look };
}

/// Rows of an album's grid: how many stand side by side.
const ROWS = { 2: [2], 3: [1, 2], 4: [2, 2], 5: [2, 3], 6: [3, 3], 7: [2, 2, 3], 8: [2, 3, 3], 9: [3, 3, 3], 10: [2, 3, 2, 3] };
export function album(messages, t) {
  const holder = make("div", "media"), visual = messages.every(m => ["photo", "video"].includes(m.media));
  if (!visual) {
    holder.classList.add("stack");
    for (const m of messages) holder.append(show(m, t).holder);
    return { holder, look: "" };
  }
  const grid = make("div", "grid"), tall = messages.every(m => m.height > m.width * 1.2), rows = messages.length === 2 && !tall && messages.every(m => m.width > m.height * 1.6) ? [1, 1] : ROWS[messages.length] || [messages.length];
  let at = 0;
  for (const count of rows) {
    const row = make("div", "grid-row");
    for (const m of messages.slice(at, at + count)) {
      const cell = show(m, t).holder, box = cell.querySelector(".frame");
      if (box) { box.style.width = ""; box.style.aspectRatio = ""; }
      cell.style.flex = Math.max(.7, Math.min(1.8, (m.width || 16) / (m.height || 9)));
      row.append(cell);
    }
    row.style.height = count === 1 ? "190px" : count === 2 ? (tall ? "250px" : "150px") : "112px";
    grid.append(row); at += count;
  }
  holder.append(grid);
  return { holder, look: "film" };
}
