start = Send me any video and I will send it back as one that plays everywhere. Choose what to make, or just send the file.
help = Send a video, a file, an animation or a round video. I answer with a video that plays on any phone.
    ▶️ Play: plays everywhere, copied without loss where possible
    📦 Smaller: at most 720p, about half the size or less
    🎵 Sound: only the audio track
    and more behind the buttons: round videos, GIFs, stickers, a size of your choice

    A caption chooses at once, such as “note”, “fit 25” (MB) or “720p mute trim 0:10-0:40”. In a group answer a file with /convert.
    /queue shows your files, /cancel stops them, /settings chooses what happens without asking. I take files up to { $limit } MB.
button-play = ▶️ Play
button-small = 📦 Smaller
button-audio = 🎵 Sound
button-note = ⚪ Round
button-gif = 🎞️ GIF
button-fit = ≤ { $size } MB
button-best = ✨ Best
button-voice = 🎙 Voice
button-sticker = 🙂 Sticker
button-sheet = 🖼 Stills
button-hevc = HEVC
button-av1 = AV1
button-file = 📎 As a file
button-more = More…
button-back = ‹ Back
button-redo = Something else
button-cancel = Cancel
button-retry = Try again
waiting = Good: { $preset }. Now send the file.
choose = What should I make of it?
choose-files = { $count ->
    [one] { $count } file
   *[other] { $count } files
}, { $size } MB. What should I make of all of them?
choose-about = { $about }. What should I make of it?
outlook = { $button }: { $what }
outlook-copied = copied without loss, { $time }
outlook-picture = picture converted, { $time }
outlook-sound = only the sound converted, { $time }
outlook-encoded = converted, { $time }
outlook-no-stream = { $wanted ->
    [audio] there is no sound
   *[other] there is no picture
}
outlook-impossible = not possible here
about-s = about { $value } s
about-min = about { $value } min
about-h = about { $value } h
megabytes = { $size } MB
auto-what = With /auto and a wish I convert every file of this chat at once, such as: /auto play. /auto off ends it.
auto-admins = Only an admin of this chat decides that.
auto-on = From now on every file of this chat becomes: { $preset }. /auto off ends it.
auto-off = I convert only what I am asked for.
info-announced = Telegram says: { $facts }
info-unseen = I have not looked inside yet: I do when I convert it.
info-seen = Inside, as I saw it when I converted it: { $facts }
info-picture = Picture: { $facts }
info-no-picture = No picture
info-sound = Sound { $number }: { $facts }
info-no-sound = No sound
info-subtitles = { $count ->
    [one] { $count } subtitle track
   *[other] { $count } subtitle tracks
}
info-channels = { $count ->
    [1] mono
    [2] stereo
   *[other] { $count } channels
}
info-fps = { $value } fps
info-bits = { $count } bit
info-rate = { $value } kHz
info-interlaced = interlaced
info-what = Answer a file with /info, and I will say what it is.
command-info = What the file that this answers is
command-auto = Convert every file of this chat
wish-wrong = I do not understand “{ $given }”. These words work: play, small, fit 25, audio, voice, note, gif, sticker, sheet, best, hevc, av1, 720p, 30fps, trim 0:10-0:40, rotate 90, track 2, mute, file.
wish-wrong-size = I do not understand “{ $given }”. A size is a number of megabytes, from 0.01 on, such as: fit 25.
wish-wrong-trim = I do not understand “{ $given }”. A part is two times with a dash, the later one second, such as: trim 0:10-0:40. “trim 1:30-” keeps the rest.
wish-wrong-turn = I do not understand “{ $given }”. Pictures turn clockwise by 90, 180 or 270 degrees, such as: rotate 90.
wish-wrong-track = I do not understand “{ $given }”. Sound tracks are counted from 1 to 99, such as: track 2.
wish-wrong-height = I do not understand “{ $given }”. Pictures have 16 to 4320 lines, such as: 720p.
wish-wrong-rate = I do not understand “{ $given }”. Films have 1 to 120 frames a second, such as: 30fps.
convert-what = Answer a file with /convert, or with /convert and what you want, such as: /convert note, /convert fit 25.
again-none = There is nothing that I could do again: what I know of a file I forget after a day.
forgotten = Done: your settings, your open questions and all I knew of your files are gone. Until midnight (UTC) I still count how many files you sent today.
not-served = This bot serves invited people only. If you know who runs it, tell them your number: { $id }
not-served-banned = You cannot use this bot.
alert-not-served = This bot serves invited people only.
admin-only = This command is for those who run the bot.
admin-stats = kadr { $version }
    In work: { $running }, waiting: { $queued }
    In the last 24 hours: { $succeeded } done, { $failed } failed, { $canceled } cancelled
    People today: { $users }, files in quarantine: { $quarantined }
admin-no-jobs = Nothing is in work and nothing waits.
admin-job-running = { $job } of { $user }: { $preset }, in progress, try { $attempt }
admin-job-waiting = { $job } of { $user }: { $preset }, #{ $position }
admin-jobs-more = … and { $count } more
admin-who = Whom? Add the person's number, such as: /ban 123456
admin-banned = { $id } is no longer served.
admin-allowed = { $id } is served.
admin-drain = No further file is started; those in work go on. /drain off or a restart ends it.
admin-drain-off = Files are started again.
admin-quarantined = { $count ->
    [0] No file is in quarantine.
    [one] { $count } file is in quarantine; /quarantine lift lets it in again.
   *[other] { $count } files are in quarantine; /quarantine lift lets them in again.
}
admin-lifted = { $count ->
    [one] { $count } file may come in again.
   *[other] { $count } files may come in again.
}
queued = In the queue: #{ $position }
batch = { $files ->
    [one] { $files } file
   *[other] { $files } files
}: { $done } ready{ $lost ->
    [0] {""}
   *[other] , { $lost } not possible
}
batch-over = { $count ->
    [one] { $count } file is
   *[other] { $count } files are
} ready: { $before } → { $after } MB in { $took }
batch-none = I could make nothing of these files.
batch-unconfirmed = I sent what I made, but Telegram did not confirm it. Please look above whether it has arrived.
batch-failed = File { $number }: { $reason }
duplicate-queued = This file is already on its way: #{ $position } in the queue.
duplicate-running = This file is already being worked on.
cached = I made this before, one moment…
user-queue-full = You already have { $limit ->
    [one] { $limit } file
   *[other] { $limit } files
} waiting, which is the limit. Send this one again when one is done.
queue-full = Too many files are waiting right now (limit { $limit }). Please try again later.
day-full = You have sent { $limit ->
    [one] { $limit } file
   *[other] { $limit } files
} today, which is the limit. Send the next one in { $hours ->
    [one] { $hours } hour
   *[other] { $hours } hours
}.
quarantined = This file made the converter crash before, so it is not accepted for a week.
too-large-unknown = This file is larger than { $limit } MB, and I cannot take more. Make it shorter or smaller and send it again.
too-large = This file is { $size } MB; I can take up to { $limit } MB. Make it shorter or smaller and send it again.
not-media = This is not a video or a sound file. Send a video, and I will make it play.
fetching = Downloading { $percent } % of { $size } MB
    { $bar }
fetching-unknown = Downloading, { $size } MB so far
converting = Converting { $percent } %
    { $bar }
    { $speed }× · { $left } left
converting-start = Converting…
sending = Sending { $percent } % of { $size } MB
    { $bar }
paused = Paused for a restart; I will go on by myself.
canceled = Cancelled.
caption-copied = { $before } → { $after } MB, copied without loss in { $took }
caption-picture-encoded = { $before } → { $after } MB, picture converted in { $took }
caption-sound-encoded = { $before } → { $after } MB, only the sound converted in { $took }
caption-encoded = { $before } → { $after } MB, converted in { $took }
warning-damaged = { $percent } % of the file was damaged and is missing.
warning-silent-track = The sound could not be read; the video is silent.
failed-not-media = This is not a video or a sound file that I know.
failed-no-stream = This file has no { $wanted ->
    [audio] sound
   *[other] picture
}, so there is nothing to make.
failed-unsupported = I cannot read this kind of video ({ $what }).
failed-encrypted = This video is protected against copying; I cannot convert it.
failed-incomplete = The file was cut short: its index, which comes last, is missing. Please send a complete copy.
failed-no-encoder = I cannot make { $what } here. “▶️ Play” works.
failed-cut-outside = The part begins at { $value }, but the video lasts { $limit }.
failed-size-unreachable = { $value } of video do not fit into { $size } MB and still look like something. From { $min } MB on it works.
failed-damaged = The file is too damaged: only { $percent } % can be read, and { $min } % is needed. Please send a complete copy.
failed-too-long = The video is { $value } long; the limit is { $limit }.
failed-too-many-pixels = The picture is { $width }×{ $height } ({ $value } megapixels); the limit is { $limit } megapixels.
failed-too-many-streams = The file has more than { $limit } tracks.
failed-too-many-frames = The video has more than { $limit } frames, too many for its length.
failed-over-limit = The file asks for more memory or work than a video of its size should, so I did not convert it.
failed-too-large = The file is { $size } MB; the limit is { $limit } MB.
failed-too-large-to-send = The result is { $size } MB, and I can send { $limit } MB at most. “Smaller” may fit.
failed-source-gone = I cannot get the file any more. Please send it again.
failed-time-limit = It took longer than { $limit } s, so I stopped. “Smaller” is quicker.
failed-network = The connection to Telegram failed too often. Please try again.
failed-unconfirmed = It may have arrived: I sent it, but Telegram did not confirm it. If it is not here, please try again.
failed-disk-full = There is no space left on my side right now. Please try again a little later.
failed-internal = Something went wrong on my side; it has been written down. Please try again.
queue-empty = You have no files in progress.
queue-title = Your files:
queue-running = { $job } · { $preset }: in progress
queue-waiting = { $job } · { $preset }: #{ $position } in the queue
cancel-choice = Forgotten. Send a video whenever you like.
cancel-none = There is nothing to cancel.
cancel-all = { $count ->
    [one] { $count } file stopped.
   *[other] { $count } files stopped.
}
alert-cancel = Stopping…
alert-over = There is nothing left to cancel here.
alert-not-yours = Only the person who sent the file can do this.
alert-expired = This button is too old. Please send the file again.
settings = New files: { $default }
    Language: { $language }
settings-chat = Files that somebody asks me for in this chat: { $default }
    Language here: { $language }
settings-ask = ❔ Ask every time
settings-auto = 🌐 As in Telegram
settings-en = English
settings-ru = Русский
command-start = What I can do
command-help = Help
command-convert = Convert the file that this answers
command-again = The last file once more
command-forget-me = Forget all you know of me
command-queue = My files
command-cancel = Stop my files
command-settings = Settings
