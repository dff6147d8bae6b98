// Words of the page in two languages, formats, icons and the two ways to make an element.

export const WORDS = {
  en: {
    message: "Message", attach: "Attach", media: "Photo or video", file: "File", other: { animation: "GIF", video_note: "Round video", voice: "Voice message", audio: "Music", sticker: "Sticker" },
    dropFile: "Drop here to send as files", dropMedia: "Drop here to send as videos", asFile: "Send as files", asMedia: "Send as videos", together: "Group as an album", caption: "Caption", send: "Send", close: "Cancel", add: "Add",
    files: n => n === 1 ? "Send 1 file" : `Send ${n} files`, bot: "bot", members: n => `${n} members`, edited: "edited", reply: "Reply", forward: "Forward to", remove: "Delete", start: "Start",
    empty: "No messages yet. Send a video, or press Start.", lost: "no connection", failed: "not sent", theme: "Light or dark", commands: "Commands", forwarded: "Forwarded from", language: "Language of this person", today: "Today", all: "All", you: "You",
    kinds: { video: "Video", photo: "Photo", animation: "GIF", video_note: "Round video", voice: "Voice message", audio: "Music", document: "File", sticker: "Sticker", album: "Album" },
    does: { typing: "typing", upload_video: "sending video", record_video: "preparing video", upload_document: "sending file", upload_voice: "sending sound", record_voice: "preparing sound", upload_photo: "sending photo", upload_video_note: "sending round video", record_video_note: "preparing round video", choose_sticker: "choosing a sticker" },
    units: ["B", "KB", "MB", "GB"], comma: ".",
  },
  ru: {
    message: "Сообщение", attach: "Прикрепить", media: "Фото или видео", file: "Файл", other: { animation: "GIF", video_note: "Кружок", voice: "Голосовое", audio: "Музыка", sticker: "Стикер" },
    dropFile: "Отпустите, чтобы отправить файлами", dropMedia: "Отпустите, чтобы отправить как видео", asFile: "Отправить файлами", asMedia: "Отправить как видео", together: "Сгруппировать в альбом", caption: "Подпись", send: "Отправить", close: "Отмена", add: "Добавить",
    files: n => n % 10 === 1 && n % 100 !== 11 ? `Отправить ${n} файл` : n % 10 > 1 && n % 10 < 5 && (n % 100 < 12 || n % 100 > 14) ? `Отправить ${n} файла` : `Отправить ${n} файлов`,
    bot: "бот", members: n => n % 10 === 1 && n % 100 !== 11 ? `${n} участник` : n % 10 > 1 && n % 10 < 5 && (n % 100 < 12 || n % 100 > 14) ? `${n} участника` : `${n} участников`,
    edited: "изменено", reply: "Ответить", forward: "Переслать в", remove: "Удалить", start: "Начать",
    empty: "Пока ничего нет. Пришлите видео или нажмите «Начать».", lost: "нет связи", failed: "не отправлено", theme: "Светлая или тёмная", commands: "Команды", forwarded: "Переслано от", language: "Язык этого человека", today: "Сегодня", all: "Все", you: "Вы",
    kinds: { video: "Видео", photo: "Фото", animation: "GIF", video_note: "Кружок", voice: "Голосовое сообщение", audio: "Музыка", document: "Файл", sticker: "Стикер", album: "Альбом" },
    does: { typing: "печатает", upload_video: "отправляет видео", record_video: "готовит видео", upload_document: "отправляет файл", upload_voice: "отправляет звук", record_voice: "готовит звук", upload_photo: "отправляет фото", upload_video_note: "отправляет кружок", record_video_note: "готовит кружок", choose_sticker: "выбирает стикер" },
    units: ["Б", "КБ", "МБ", "ГБ"], comma: ",",
  },
};
/// Words of a language code.
export const wordsOf = code => WORDS[(code || "").startsWith("ru") ? "ru" : "en"];

export function size(bytes, t) {
  let unit = 0, number = bytes;
  while (number >= 1000 && unit < 3) { number /= 1024; unit++; }
  const digits = unit < 2 || number >= 100 ? 0 : 1;
  return number.toFixed(digits).replace(".", t.comma) + " " + t.units[unit];
}
export const clock = seconds => {
  const s = Math.max(0, Math.round(seconds)), two = n => String(n).padStart(2, "0");
  return (s >= 3600 ? Math.floor(s / 3600) + ":" + two(Math.floor(s / 60) % 60) : Math.floor(s / 60)) + ":" + two(s % 60);
};
export const time = seconds => new Date(seconds * 1000).toTimeString().slice(0, 5);

const SHAPES = {
  clip: "M20 11l-8.5 8.5a5 5 0 0 1-7-7L13 4a3.3 3.3 0 0 1 4.7 4.7l-8.5 8.4a1.7 1.7 0 0 1-2.4-2.3L14.5 7",
  send: "M3 20l18-8L3 4l2.5 8L3 20zM5.5 12H13", moon: "M20 14a8 8 0 1 1-9-10 6.5 6.5 0 0 0 9 10z", close: "M6 6l12 12M18 6L6 18",
  film: "M4 6h11v12H4zM15 11l5-3v8l-5-3", sheet: "M6 3h8l4 4v14H6zM14 3v4h4", slash: "M9 20l6-16", check: "M4 12l5 5L20 6", plus: "M12 5v14M5 12h14",
};
export const icon = (button, shape) => {
  button.innerHTML = `<svg viewBox="0 0 24 24" width="22" height="22" fill="none" stroke="currentColor" stroke-width="1.8" stroke-linecap="round" stroke-linejoin="round"><path d="${SHAPES[shape]}"/></svg>`;
  return button;
};
/// A triangle or two bars: what a player's button shows.
export const playIcon = playing => playing
  ? '<svg viewBox="0 0 24 24" fill="currentColor"><path d="M7 5h4v14H7zM13 5h4v14h-4z"/></svg>'
  : '<svg viewBox="0 0 24 24" fill="currentColor"><path d="M8 4.5v15a1 1 0 0 0 1.5.9l12-7.5a1 1 0 0 0 0-1.7l-12-7.5A1 1 0 0 0 8 4.5z"/></svg>';

export const make = (tag, name, text) => {
  const element = document.createElement(tag);
  if (name) element.className = name;
  if (text !== undefined) element.textContent = text;
  return element;
};
export const button = (name, text, press) => Object.assign(make("button", name, text), { type: "button", onclick: press });
export const act = (kind, body) => fetch("/control/act", { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify({ [kind]: body }) }).catch(() => {});

/// The same number for the same name: for colours.
export const hash = text => [...String(text)].reduce((sum, letter) => (sum * 31 + letter.codePointAt(0)) >>> 0, 7);
const FACES = [["#ff885e", "#ff516a"], ["#ffcd6a", "#ffa85c"], ["#82b1ff", "#665fff"], ["#a0de7e", "#54cb68"], ["#53edd6", "#28c9b7"], ["#72d5fd", "#2a9ef1"], ["#e0a2f3", "#d669ed"]];
export function face(name, id, kind) {
  const [from, to] = kind === "bot" ? ["#5aa9f8", "#2b6fe0"] : FACES[hash(id) % FACES.length];
  const circle = make("div", "face", kind === "bot" ? "" : [...name][0]);
  if (kind === "bot") circle.innerHTML = '<svg viewBox="0 0 24 24" width="60%" fill="currentColor"><path d="M8 5.2v13.6a1 1 0 0 0 1.5.9l11-6.8a1 1 0 0 0 0-1.7l-11-6.8a1 1 0 0 0-1.5.8z"/></svg>';
  circle.style.background = `linear-gradient(${from}, ${to})`;
  return circle;
}
export const nameColour = id => FACES[hash(id) % FACES.length][1];
