// One chat as one person sees it: bubbles, quotes, keyboards, edits in place.
import { make, button, time, act, face, nameColour } from "./words.js";
import { show, album } from "./media.js";

const TAGS = { bold: "b", italic: "i", underline: "u", strikethrough: "s", code: "code", pre: "pre", blockquote: "blockquote" };

/// Text with the Bot API's entities; offsets count UTF-16 units, as JavaScript's do.
function rich(text, entities, press) {
  const draw = (from, to, inside) => {
    const out = document.createDocumentFragment();
    let at = from;
    for (const e of inside.filter(e => e.offset >= from && e.offset + e.length <= to).sort((a, b) => a.offset - b.offset || b.length - a.length)) {
      if (e.offset < at) continue;
      out.append(text.slice(at, e.offset));
      const box = make(TAGS[e.type] || "span"), inner = text.slice(e.offset, e.offset + e.length);
      if (["text_link", "url", "bot_command", "mention", "hashtag"].includes(e.type)) box.className = "link";
      if (e.type === "bot_command") box.onclick = () => press(inner);
      box.append(draw(e.offset, e.offset + e.length, inside.filter(o => o !== e)));
      out.append(box); at = e.offset + e.length;
    }
    out.append(text.slice(at, to));
    return out;
  };
  return draw(0, text.length, entities || []);
}

/// What stands for a message in one line: in quotes and in the list of chats.
export function inOneLine(m, t) {
  const kind = m.album ? t.kinds.album : t.kinds[m.media];
  const words = m.text.split("\n")[0];
  if (!m.media) return words;
  return m.media === "document" ? m.name || words || kind : words ? `${kind}, ${words}` : kind;
}

function quote(m, view) {
  const box = button("quote", undefined, () => {
    const row = view.rows.get(view.keyOf(m));
    if (row) { row.element.scrollIntoView({ block: "center", behavior: "smooth" }); row.element.classList.add("flash"); setTimeout(() => row.element.classList.remove("flash"), 1200); }
  });
  const picture = m.thumbnail_file || (m.media === "photo" ? m.file : null), tell = make("div");
  if (picture) { const small = make("i"); small.style.backgroundImage = `url(/media/${encodeURIComponent(picture)})`; box.append(small); }
  tell.append(make("b", "", view.nameOf(m.from)), make("span", "", inOneLine(m, view.t)));
  box.append(tell);
  return box;
}

/// One message, or one album.
function rowOf(messages, view, chat) {
  const m = messages[0], { t, user } = view, mine = m.from === user;
  const row = make("div", "row" + (mine ? " me" : "")), stack = make("div", "stack-of"), bubble = make("div", "bubble"), words = make("div", "words");
  const told = messages.find(one => one.text) || m, shown = messages.length > 1 ? album(messages, t) : m.media ? show(m, t) : null;
  if (chat.title && !mine) {
    row.append(face(view.nameOf(m.from), m.from, m.from_bot ? "bot" : ""));
    const name = make("div", "name", view.nameOf(m.from)); name.style.color = m.from_bot ? "var(--link)" : nameColour(m.from);
    if (!shown || shown.look !== "bare") bubble.append(name);
  }
  if (m.forwarded_from) bubble.append(make("div", "name forwarded", `${t.forwarded} ${view.nameOf(m.forwarded_from)}`));
  const answered = m.reply_to && chat.messages.find(one => one.id === m.reply_to);
  if (answered) bubble.append(quote(answered, view));
  if (shown) { bubble.append(shown.holder); if (shown.look) bubble.classList.add(shown.look); if (bubble.firstChild !== shown.holder) bubble.classList.add("headed"); }
  const meta = make("span", "meta", (messages.some(one => one.edits) ? t.edited + " " : "") + time(m.date_s));
  if (mine) meta.append(make("i", "ticks"));
  if (told.text) words.append(rich(told.text, told.entities, view.say));
  else bubble.classList.add("wordless");
  words.append(meta); bubble.append(words); stack.append(bubble);
  for (const line of m.buttons) {
    const keys = make("div", "keys");
    for (const [label, data] of line) { const key = button("", label, () => act("press", { user, chat: chat.id, message: m.id, button: data })); key.title = label; key.dataset.data = data; keys.append(key); }
    stack.append(keys); row.classList.add("keyed");
  }
  row.append(stack);
  row.ondblclick = () => view.reply(m);
  row.oncontextmenu = event => { event.preventDefault(); view.menu(event, messages); };
  return row;
}

/// Messages of one album stand together.
export function grouped(messages) {
  const groups = [];
  for (const m of messages) {
    const last = groups.at(-1);
    if (m.album && last && last[0].album === m.album) last.push(m); else groups.push([m]);
  }
  return groups;
}

/// Brings the list up to date; what did not change stays, so that it plays on.
export function draw(view, chat, list, pressed) {
  const there = new Set();
  let before = null;
  const wanted = chat.messages.filter(m => !view.topic || m.thread === view.topic);
  for (const messages of grouped(wanted)) {
    const m = messages[0], key = view.keyOf(m), print = JSON.stringify([messages, view.t.send, messages.map(one => one.reply_to && chat.messages.some(o => o.id === one.reply_to))]);
    const files = messages.map(one => one.file + one.media).join(), old = view.rows.get(key);
    let row = old && old.element;
    if (!old || old.print !== print) {
      row = rowOf(messages, view, chat);
      // The file is the same and only its words changed: keep the player as it is.
      const kept = old && files && old.files === files && old.element.querySelector(".media"), fresh = row.querySelector(".media");
      if (kept && fresh) fresh.replaceWith(kept);
      if (old) old.element.replaceWith(row); else { if (view.drawn) row.classList.add("new"); list.append(row); }
      view.rows.set(key, { print, files, element: row });
      // What she writes herself, she sees.
      if (!old && m.from === view.user) view.low = true;
    }
    row.classList.toggle("joined", !!before && before.from === m.from && m.date_s - before.date_s < 300);
    before = messages.at(-1); there.add(key);
    const wait = pressed.filter(([where, id, , who]) => where === chat.id && id === m.id && (who === undefined || who === view.user)).map(([, , data]) => data);
    const keys = row.querySelectorAll(".keys button");
    m.buttons.flat().forEach(([, data], at) => keys[at] && keys[at].classList.toggle("wait", wait.includes(data)));
  }
  for (const [key, { element }] of view.rows) if (!there.has(key)) { element.remove(); view.rows.delete(key); }
  view.drawn = true;
}
