// Where a person writes: text, commands, files with a caption, answers.
import { make, button, icon, act, size } from "./words.js";
import { inOneLine } from "./chat.js";

const ALBUM_MAX = 10;
const PLAYABLE = ["video/mp4", "video/webm", "video/quicktime"];
const looks = file => file.type.startsWith("image/") && file.type !== "image/gif" ? "photo" : file.type.startsWith("video/") || /\.(mkv|avi|mov|ts|mts|wmv|flv|mpe?g|vob|3gp)$/i.test(file.name) ? "video" : "document";

/// The sheet over a chat that asks how files shall go out. Answers nothing where they stay.
function ask(view, files, kind) {
  const t = view.t, dim = make("div", "dim"), sheet = make("form", "sheet"), list = make("div", "held"), caption = Object.assign(make("input", "field"), { placeholder: t.caption, value: view.text.value });
  const visual = files.some(file => looks(file) !== "document"), fixed = !["media", "document"].includes(kind);
  const asFile = Object.assign(make("input"), { type: "checkbox", checked: kind === "document" || !visual }), together = Object.assign(make("input"), { type: "checkbox", checked: true });
  for (const file of files) {
    const line = make("div", "file"), tell = make("div"), badge = make("i", "", (file.name.split(".").pop() || "").slice(0, 4));
    if (file.type.startsWith("image/")) { badge.className = "pictured"; badge.textContent = ""; badge.style.backgroundImage = `url(${URL.createObjectURL(file)})`; }
    if (PLAYABLE.includes(file.type)) badge.replaceChildren(Object.assign(make("video"), { src: URL.createObjectURL(file) + "#t=0.5", muted: true, preload: "metadata" }));
    tell.append(make("b", "", file.name), make("span", "", size(file.size, t))); line.append(badge, tell); list.append(line);
  }
  const choice = (box, words) => { const label = make("label"); label.append(box, words); return label; };
  const buttons = make("div", "choices");
  sheet.append(make("b", "", t.files(files.length)), list);
  if (visual && !fixed) sheet.append(choice(asFile, t.asFile));
  if (files.length > 1) sheet.append(choice(together, t.together));
  const close = () => { dim.remove(); view.text.focus(); };
  const send = Object.assign(make("button", "primary", t.send), { type: "submit" });
  buttons.append(button("", t.close, close), send); sheet.append(caption, buttons); dim.append(sheet); view.box.append(dim);
  dim.onclick = event => { if (event.target === dim) close(); };
  dim.onkeydown = event => { if (event.key === "Escape") close(); };
  sheet.onsubmit = event => {
    event.preventDefault();
    const kindOf = file => fixed ? kind : asFile.checked ? "document" : looks(file);
    view.text.value = "";
    // An album holds films and photos, or documents: never both.
    const batches = [];
    for (const file of files) {
      const one = kindOf(file), sort = ["photo", "video"].includes(one) ? "visual" : one, last = batches.at(-1);
      const fits = last && together.checked && last.sort === sort && ["visual", "document", "audio"].includes(sort) && last.parts.length < ALBUM_MAX;
      if (fits) last.parts.push([one, file]); else batches.push({ sort, parts: [[one, file]] });
    }
    batches.forEach(({ parts }, at) => upload(view, parts, at ? "" : caption.value.trim()));
    view.reply(null); close();
  };
  caption.focus();
}

/// Sends files as one message or album, with a bubble that fills while they go.
function upload(view, parts, caption) {
  const t = view.t, row = make("div", "row me new sending"), bubble = make("div", "bubble"), bar = make("div", "bar"), fill = make("div");
  for (const [, file] of parts) { const line = make("div", "file"), tell = make("div"); tell.append(make("b", "", file.name), make("span", "", size(file.size, t))); line.append(make("i", "", "↑"), tell); bubble.append(line); }
  bar.append(fill); bubble.append(bar); row.append(bubble); view.list.append(row); view.list.scrollTop = view.list.scrollHeight;
  const data = new FormData(), call = new XMLHttpRequest(), query = new URLSearchParams({ user: view.user, chat: view.chat, as: "document", caption });
  if (view.answering) query.set("reply_to", view.answering);
  if (view.topic) query.set("thread", view.topic);
  for (const [kind, file] of parts) data.append(kind, file);
  call.upload.onprogress = event => { fill.style.width = 100 * event.loaded / event.total + "%"; };
  call.onload = () => { if (call.status === 200) row.remove(); else call.onerror(); };
  call.onerror = () => { bar.replaceWith(make("span", "failed", t.failed)); };
  call.open("POST", "/control/file?" + query); call.send(data);
}

/// Menus close when something else is pressed.
function menu(box, name) {
  const list = make("div", "menu " + name);
  box.append(list);
  addEventListener("pointerdown", event => { if (!list.contains(event.target) && !(list.opener && list.opener.contains(event.target))) list.classList.remove("on"); });
  return list;
}

export function composer(view) {
  const form = make("form", "write"), text = Object.assign(make("textarea", "field"), { rows: 1 }), answering = make("div", "answering"), quoted = make("div");
  const pick = Object.assign(make("input"), { type: "file", hidden: true, multiple: true }), clip = icon(button("icon", undefined), "clip"), slash = button("icon slash", "/"), send = icon(make("button", "icon send"), "send"), start = button("start", "");
  const kinds = menu(form, "kinds"), commands = menu(form, "commands"), t = () => view.t;
  view.text = text;
  answering.append(quoted, icon(button("icon", undefined, () => view.reply(null)), "close"));
  form.append(clip, text, slash, send, pick); form.prepend(kinds, commands);
  let kind = "media", chosen = 0;

  view.reply = m => {
    view.answering = m && m.id; answering.classList.toggle("on", !!m);
    if (m) { quoted.replaceChildren(make("b", "", view.nameOf(m.from)), make("span", "", inOneLine(m, t()))); text.focus(); }
  };
  const named = command => "/" + command + (view.group ? "@" + view.botName : "");
  view.say = words => {
    // A command pressed in a group names its bot, as the messenger does it.
    const said = /^\/\w+$/.test(words) ? named(words.slice(1)) : words;
    act("text", { user: view.user, chat: view.chat, text: said, reply_to: view.answering || null, thread: view.topic || null }); view.reply(null);
  };
  const grow = () => { text.style.height = ""; text.style.height = Math.min(140, text.scrollHeight) + "px"; };
  const offer = all => {
    const typed = text.value.match(/^\/(\w*)$/), found = view.commands.filter(c => all || (typed && c.command.startsWith(typed[1])));
    commands.replaceChildren(); chosen = 0;
    for (const c of found) { const line = button("", undefined, () => { commands.classList.remove("on"); text.value = ""; view.say("/" + c.command); }); line.append(make("b", "", "/" + c.command), make("span", "", c.description)); line.onmousemove = () => { chosen = found.indexOf(c); mark(); }; commands.append(line); }
    commands.classList.toggle("on", found.length > 0); mark();
  };
  const mark = () => [...commands.children].forEach((line, at) => line.classList.toggle("chosen", at === chosen));
  commands.opener = slash; kinds.opener = clip;
  text.oninput = () => { grow(); offer(false); };
  text.onkeydown = event => {
    const open = commands.classList.contains("on"), count = commands.children.length;
    if (open && ["ArrowDown", "ArrowUp"].includes(event.key)) { event.preventDefault(); chosen = (chosen + (event.key === "ArrowDown" ? 1 : count - 1)) % count; mark(); }
    else if (open && event.key === "Tab") { event.preventDefault(); text.value = commands.children[chosen].firstChild.textContent + " "; offer(false); }
    else if (event.key === "Escape") { commands.classList.remove("on"); view.reply(null); }
    else if (event.key === "Enter" && !event.shiftKey) { event.preventDefault(); if (open) commands.children[chosen].click(); else form.requestSubmit(); grow(); }
  };
  text.onpaste = event => { const files = [...event.clipboardData.files]; if (files.length) { event.preventDefault(); ask(view, files, "media"); } };
  slash.onclick = () => { if (commands.classList.contains("on")) commands.classList.remove("on"); else offer(true); };
  start.onclick = () => view.say("/start");
  form.onsubmit = event => { event.preventDefault(); if (text.value.trim()) view.say(text.value.trim()); text.value = ""; grow(); commands.classList.remove("on"); };
  clip.onclick = () => {
    kinds.replaceChildren();
    const line = (name, words, accept) => kinds.append(button("", words, () => { kind = name; pick.accept = accept; kinds.classList.remove("on"); pick.click(); }));
    line("media", t().media, "video/*,image/*"); line("document", t().file, "");
    for (const [name, words] of Object.entries(t().other)) line(name, words, { voice: "audio/*", audio: "audio/*", sticker: "video/webm,image/webp" }[name] || "video/*");
    kinds.classList.toggle("on");
  };
  pick.onchange = () => { const files = [...pick.files]; pick.value = ""; if (files.length) ask(view, files, kind); };
  drops(view);
  view.dress = empty => {
    text.placeholder = t().message; clip.title = t().attach; slash.title = t().commands; slash.hidden = !view.commands.length; start.textContent = t().start;
    start.hidden = !empty || view.group;
  };
  const foot = make("footer"); foot.append(start, answering, form);
  return foot;
}

/// Two fields to drop files on: as files, as videos.
function drops(view) {
  const over = make("div", "drops"), fields = { document: make("div"), media: make("div") };
  over.append(fields.document, fields.media); view.box.append(over);
  let depth = 0;
  const carries = event => [...event.dataTransfer.types].includes("Files");
  view.box.ondragenter = event => { if (carries(event)) { depth++; fields.document.textContent = view.t.dropFile; fields.media.textContent = view.t.dropMedia; over.classList.add("on"); } };
  view.box.ondragleave = () => { if (--depth <= 0) { depth = 0; over.classList.remove("on"); } };
  view.box.ondragover = event => { if (carries(event)) { event.preventDefault(); for (const field of Object.values(fields)) field.classList.toggle("hot", field === event.target); } };
  view.box.ondrop = event => {
    if (!carries(event)) return;
    event.preventDefault(); depth = 0; over.classList.remove("on");
    const files = [...event.dataTransfer.files];
    if (files.length) ask(view, files, event.target === fields.media ? "media" : "document");
  };
}
