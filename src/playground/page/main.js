// The page: a column a person, in it her chats; the state comes by a long poll and is drawn again where it changed.
import { make, button, icon, act, wordsOf, face, time } from "./words.js";
import { draw, inOneLine } from "./chat.js";
import { composer } from "./compose.js";

const byId = id => document.getElementById(id), root = document.documentElement, wish = new URLSearchParams(location.search);
const NARROW = 370;
let world = { version: 0, users: [], chats: [], toasts: [], pressed: [] }, told = null, current = Number(wish.get("user")) || null;
const columns = new Map();
const person = id => world.users.find(user => user.id === id);
const nameOf = id => id === world.bot ? "kadr" : (person(id) || { name: "?" }).name;
const page = wordsOf(navigator.language);

/// A person's view of one chat.
function viewOf(column, chat) {
  const old = column.views.get(chat.id);
  if (old) return old;
  const box = make("section", "chat"), topics = make("nav", "topics"), list = make("div", "list");
  const view = {
    user: column.user, chat: chat.id, group: !!chat.title, box, list, topics, rows: new Map(), topic: null, seen: 0, drawn: false, low: true, commands: [], botName: world.bot_name, nameOf,
    get t() { return wordsOf((person(column.user) || {}).language); },
    keyOf: m => m.album ? "album" + m.album : m.id,
    menu: (event, messages) => rowMenu(view, event, messages),
  };
  // Whoever reads the end keeps on seeing it; whoever scrolled up is left alone.
  list.onscroll = () => { if (list.clientHeight) view.low = list.scrollHeight - list.scrollTop - list.clientHeight < 120; };
  new ResizeObserver(() => toEnd(view)).observe(list);
  box.append(topics, list); box.append(composer(view)); column.body.append(box);
  column.views.set(chat.id, view);
  return view;
}

const toEnd = view => { if (view.low) view.list.scrollTop = view.list.scrollHeight; };

function rowMenu(view, event, messages) {
  document.querySelectorAll(".menu.row-menu").forEach(old => old.remove());
  const menu = make("div", "menu row-menu on"), box = view.box.getBoundingClientRect(), t = view.t;
  const line = (words, press) => menu.append(button("", words, () => { menu.remove(); press(); }));
  line(t.reply, () => view.reply(messages[0]));
  for (const chat of chatsOf(view.user)) line(`${t.forward} ${chat.title || "kadr"}`, async () => { for (const m of messages) await act("forward", { user: view.user, from_chat: view.chat, message: m.id, into: chat.id }); });
  line(t.remove, () => messages.forEach(m => act("delete", { chat: view.chat, message: m.id })));
  menu.style.left = Math.min(event.clientX - box.left, box.width - 220) + "px"; menu.style.top = Math.min(event.clientY - box.top, box.height - 180) + "px"; menu.style.bottom = "auto";
  view.box.append(menu);
  setTimeout(() => addEventListener("pointerdown", event => { if (!menu.contains(event.target)) menu.remove(); }, { once: true }));
}

const chatsOf = user => world.chats.filter(chat => chat.title ? chat.members.includes(user) : chat.id === user).sort((a, b) => !!a.title - !!b.title);

const switchLanguage = user => act("language", { user, language: person(user).language === "ru" ? "en" : "ru" });

function columnOf(user) {
  const old = columns.get(user.id);
  if (old) return old;
  const box = make("article", "column"), head = make("header"), cards = make("nav", "cards"), body = make("div", "body"), name = make("b"), language = button("language", "");
  language.onclick = () => switchLanguage(user.id);
  head.append(face(user.name, user.id), name, language); box.append(head, cards, body); byId("columns").append(box);
  const column = { user: user.id, box, cards, body, name, language, views: new Map(), open: user.id };
  columns.set(user.id, column);
  return column;
}

function card(column, chat, view) {
  const t = view.t, on = column.open === chat.id, last = chat.messages.at(-1), busy = chat.action && (t.does[chat.action] || t.does.typing);
  const line = button("card" + (on ? " on" : ""), undefined, () => { column.open = chat.id; view.low = true; render(); });
  const tell = make("div"), head = make("div", "card-head"), under = make("span", busy ? "busy" : "");
  const fresh = on ? 0 : chat.messages.filter(m => m.id > view.seen && m.from !== column.user).length;
  head.append(make("b", "", chat.title || "kadr")); if (last && !on && !fresh) head.append(make("time", "", time(last.date_s)));
  const idle = on || !last ? (chat.title ? t.members(chat.members.length + 1) : t.bot) : (last.from === column.user ? t.you + ": " : chat.title ? nameOf(last.from) + ": " : "") + inOneLine(last, t);
  under.textContent = busy || idle;
  if (busy) under.append(make("i", "dots"));
  tell.append(head, under); line.append(face(chat.title || "kadr", chat.id, chat.title ? "" : "bot"), tell);
  if (fresh) line.append(make("em", "", fresh));
  return line;
}

function topics(view, chat) {
  view.topics.replaceChildren(); const all = Object.entries(chat.topics);
  view.topics.hidden = !all.length; if (!all.length) return;
  const chip = (id, words) => view.topics.append(button(view.topic === id ? "on" : "", words, () => { view.topic = id; view.rows.forEach(row => row.element.remove()); view.rows.clear(); render(); }));
  chip(null, view.t.all); for (const [id, title] of all) chip(Number(id), title);
}

function drawColumn(column) {
  const user = person(column.user), t = wordsOf(user.language);
  column.name.textContent = user.name; column.language.textContent = user.language; column.language.title = t.language;
  const chats = chatsOf(column.user), cards = [];
  if (!chats.some(chat => chat.id === column.open)) column.open = chats[0].id;
  for (const chat of chats) {
    const view = viewOf(column, chat), on = chat.id === column.open;
    view.commands = user.commands[chat.title ? "group" : "private"] || [];
    view.box.classList.toggle("on", on); view.dress(!chat.messages.length);
    if (on && chat.messages.length) view.seen = chat.messages.at(-1).id;
    topics(view, chat);
    let empty = view.list.querySelector(".empty");
    if (!chat.messages.length && !empty) view.list.prepend(empty = make("div", "empty"));
    if (empty) { empty.textContent = t.empty; if (chat.messages.length) empty.remove(); }
    draw(view, chat, view.list, world.pressed);
    cards.push(card(column, chat, view));
  }
  column.cards.replaceChildren(...cards);
}

/// As many people side by side as fit, the chosen one among them.
function layout() {
  const users = world.users, fit = Math.max(1, Math.floor(innerWidth / NARROW)), only = (wish.get("users") || "").split(",").filter(Boolean).map(Number);
  const shown = only.length ? users.filter(user => only.includes(user.id)) : users;
  if (!shown.some(user => user.id === current)) current = shown.length ? shown[0].id : null;
  const first = Math.max(0, Math.min(shown.findIndex(user => user.id === current), shown.length - fit));
  byId("people").replaceChildren(...shown.map(user => button(user.id === current ? "on" : "", user.name, () => { current = user.id; layout(); })));
  const single = fit === 1 || shown.length === 1, own = person(current) || {};
  root.classList.toggle("single", single);
  byId("people").hidden = !single && shown.length <= fit; byId("language").hidden = !single;
  byId("language").textContent = own.language || ""; byId("language").title = wordsOf(own.language).language;
  for (const user of users) columnOf(user).box.classList.toggle("on", shown.indexOf(user) >= first && shown.indexOf(user) < first + fit);
}

/// Answers to pressed buttons: a line that goes by itself, or a box that waits for OK.
function toasts() {
  const fresh = world.toasts.filter(toast => told !== null && toast.id > told);
  told = Math.max(told || 0, ...world.toasts.map(toast => toast.id));
  for (const { user, text, alert } of fresh) {
    const column = columns.get(user);
    if (!column) continue;
    if (alert) {
      const dim = make("div", "dim"), box = make("div", "sheet"), choices = make("div", "choices"), ok = button("primary", "OK", () => dim.remove());
      choices.append(ok); box.append(make("b", "", "kadr"), make("p", "", text), choices); dim.append(box); column.body.append(dim); ok.focus();
    } else {
      const line = make("div", "toast", text); line.role = "status";
      column.body.querySelectorAll(".toast").forEach(old => old.remove()); column.body.append(line); setTimeout(() => line.remove(), 3500);
    }
  }
}

function render() {
  for (const user of world.users) drawColumn(columnOf(user));
  layout();
  for (const column of columns.values()) column.views.forEach(toEnd);
  toasts();
}

const setTheme = theme => { if (theme) root.dataset.theme = theme; };
setTheme(wish.get("theme") || localStorage.theme);
icon(byId("theme"), "moon").title = page.theme; byId("lost").textContent = page.lost;
byId("language").onclick = () => switchLanguage(current);
byId("theme").onclick = () => { const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches; setTheme(localStorage.theme = dark ? "light" : "dark"); };
addEventListener("resize", layout);

for (;;) {
  try {
    const answer = await fetch("/control/state?version=" + (world.version || 0));
    world = await answer.json(); byId("lost").hidden = true;
    render();
  } catch (error) { byId("lost").hidden = false; console.error(error); await new Promise(done => setTimeout(done, 1000)); }
}
