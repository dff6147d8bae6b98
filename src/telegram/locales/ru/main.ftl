start = Пришлите любое видео, и я верну его в таком виде, который откроется везде. Выберите, что сделать, или просто пришлите файл.
help = Пришлите видео, файл, анимацию или кружок. В ответ придёт видео, которое откроется на любом телефоне.
    ▶️ Видео: откроется везде, по возможности без потери качества
    📦 Меньше: не больше 720p, примерно вдвое легче
    🎵 Звук: только звуковая дорожка
    и другое за кнопками: кружки, гифки, стикеры, нужный размер

    Подпись к файлу выбирает сразу: «кружок», «до 25» (МБ) или «720p без звука обрезать 0:10-0:40». В группе ответьте на файл командой /convert.
    /queue показывает ваши файлы, /cancel останавливает их, /settings задаёт, что делать без вопросов. Принимаю файлы до { $limit } МБ.
button-play = ▶️ Видео
button-small = 📦 Меньше
button-audio = 🎵 Звук
button-note = ⚪ Кружок
button-gif = 🎞️ GIF
button-fit = до { $size } МБ
button-best = ✨ Лучше
button-voice = 🎙 Голос
button-sticker = 🙂 Стикер
button-sheet = 🖼 Кадры
button-hevc = HEVC
button-av1 = AV1
button-file = 📎 Файлом
button-more = Ещё…
button-back = ‹ Назад
button-redo = Что-нибудь ещё
button-cancel = Отменить
button-retry = Ещё раз
waiting = Хорошо: { $preset }. Теперь пришлите файл.
choose = Что из него сделать?
choose-files = { $count ->
    [one] { $count } файл
    [few] { $count } файла
   *[many] { $count } файлов
}, { $size } МБ. Что из них сделать?
choose-about = { $about }. Что из него сделать?
outlook = { $button }: { $what }
outlook-copied = без потери качества, { $time }
outlook-picture = изображение конвертирую, { $time }
outlook-sound = конвертирую только звук, { $time }
outlook-encoded = конвертирую, { $time }
outlook-no-stream = { $wanted ->
    [audio] звука нет
   *[other] изображения нет
}
outlook-impossible = здесь не получится
about-s = около { $value } с
about-min = около { $value } мин
about-h = около { $value } ч
megabytes = { $size } МБ
auto-what = Команда /auto и слово, что нужно: и я сам конвертирую каждый файл этого чата, например: /auto видео. Закончить: /auto off.
auto-admins = Это решает только администратор чата.
auto-on = Теперь каждый файл этого чата становится таким: { $preset }. Закончить: /auto off.
auto-off = Конвертирую только то, о чём попросят.
info-announced = Telegram сообщает: { $facts }
info-unseen = Внутрь я ещё не заглядывал: это бывает, когда я конвертирую файл.
info-seen = Внутри, как было видно при конвертации: { $facts }
info-picture = Изображение: { $facts }
info-no-picture = Изображения нет
info-sound = Звук { $number }: { $facts }
info-no-sound = Звука нет
info-subtitles = { $count ->
    [one] { $count } дорожка субтитров
    [few] { $count } дорожки субтитров
   *[many] { $count } дорожек субтитров
}
info-channels = { $count ->
    [1] моно
    [2] стерео
    [one] { $count } канал
    [few] { $count } канала
   *[many] { $count } каналов
}
info-fps = { $value } к/с
info-bits = { $count } бит
info-rate = { $value } кГц
info-interlaced = чересстрочное
info-what = Ответьте на файл командой /info, и я скажу, что это за файл.
command-info = Что это за файл (ответом на него)
command-auto = Конвертировать каждый файл этого чата
wish-wrong = Не понимаю «{ $given }». Я знаю такие слова: видео, меньше, до 25, звук, голос, кружок, гифка, стикер, кадры, лучше, hevc, av1, 720p, 30fps, обрезать 0:10-0:40, повернуть 90, дорожка 2, без звука, файлом.
wish-wrong-size = Не понимаю «{ $given }». Размер задаётся числом мегабайт от 0,01, например: до 25.
wish-wrong-trim = Не понимаю «{ $given }». Отрывок задают два времени через дефис, второе позже первого, например: обрезать 0:10-0:40. «обрезать 1:30-» оставит всё до конца.
wish-wrong-turn = Не понимаю «{ $given }». Картинка поворачивается по часовой стрелке на 90, 180 или 270 градусов, например: повернуть 90.
wish-wrong-track = Не понимаю «{ $given }». Звуковые дорожки считаются от 1 до 99, например: дорожка 2.
wish-wrong-height = Не понимаю «{ $given }». В картинке от 16 до 4320 строк, например: 720p.
wish-wrong-rate = Не понимаю «{ $given }». В секунде от 1 до 120 кадров, например: 30fps.
convert-what = Ответьте на файл командой /convert или /convert и словом, что нужно, например: /convert кружок, /convert до 25.
again-none = Повторять нечего: что я знаю о файле, через сутки забываю.
forgotten = Готово: ваши настройки, открытые вопросы и всё, что я знал о ваших файлах, удалены. До полуночи (UTC) я ещё помню, сколько файлов вы прислали сегодня.
not-served = Этот бот только для приглашённых. Если вы знаете, чей он, передайте владельцу ваш номер: { $id }
not-served-banned = Вам этот бот недоступен.
alert-not-served = Этот бот только для приглашённых.
admin-only = Эта команда для тех, кто ведёт бота.
admin-stats = kadr { $version }
    В работе: { $running }, в очереди: { $queued }
    За сутки: готово { $succeeded }, не вышло { $failed }, отменено { $canceled }
    Людей сегодня: { $users }, файлов в карантине: { $quarantined }
admin-no-jobs = В работе и в очереди ничего нет.
admin-job-running = { $job } от { $user }: { $preset }, в работе, попытка { $attempt }
admin-job-waiting = { $job } от { $user }: { $preset }, №{ $position }
admin-jobs-more = … и ещё { $count }
admin-who = Кого? Добавьте номер человека, например: /ban 123456
admin-banned = { $id } больше не обслуживается.
admin-allowed = { $id } обслуживается.
admin-drain = Новые файлы не начинаю, начатые доделаю. Закончить: /drain off или перезапуск.
admin-drain-off = Снова начинаю файлы.
admin-quarantined = { $count ->
    [0] В карантине пусто.
    [one] В карантине { $count } файл; /quarantine lift впустит его снова.
    [few] В карантине { $count } файла; /quarantine lift впустит их снова.
   *[many] В карантине { $count } файлов; /quarantine lift впустит их снова.
}
admin-lifted = { $count ->
    [one] Снова принимаю { $count } файл.
    [few] Снова принимаю { $count } файла.
   *[many] Снова принимаю { $count } файлов.
}
queued = В очереди: №{ $position }
batch = { $files ->
    [one] { $files } файл
    [few] { $files } файла
   *[many] { $files } файлов
}: готово { $done }{ $lost ->
    [0] {""}
   *[other] , не вышло { $lost }
}
batch-over = { $count ->
    [one] Готов { $count } файл
    [few] Готовы { $count } файла
   *[many] Готовы { $count } файлов
}: { $before } → { $after } МБ за { $took }
batch-none = Из этих файлов ничего не вышло.
batch-unconfirmed = Я отправил, что получилось, но Telegram это не подтвердил. Посмотрите выше, пришло ли.
batch-failed = Файл { $number }: { $reason }
duplicate-queued = Этот файл уже в очереди: №{ $position }.
duplicate-running = Этот файл уже в работе.
cached = Такой файл уже был, секунду…
user-queue-full = У вас в очереди уже { $limit ->
    [one] { $limit } файл
    [few] { $limit } файла
   *[many] { $limit } файлов
}, больше нельзя. Пришлите этот снова, когда какой-нибудь будет готов.
queue-full = Сейчас в очереди слишком много файлов (предел { $limit }). Попробуйте позже.
day-full = Сегодня вы прислали уже { $limit ->
    [one] { $limit } файл
    [few] { $limit } файла
   *[many] { $limit } файлов
}, больше за день нельзя. Следующий пришлите через { $hours ->
    [one] { $hours } час
    [few] { $hours } часа
   *[many] { $hours } часов
}.
quarantined = На этом файле программа уже падала, поэтому неделю я его не принимаю.
too-large-unknown = Файл больше { $limit } МБ, такие я не принимаю. Сократите или сожмите его и пришлите снова.
too-large = Файл весит { $size } МБ, а я принимаю до { $limit } МБ. Сократите или сожмите его и пришлите снова.
not-media = Это не видео и не звук. Пришлите видео, и я сделаю так, чтобы оно открывалось.
fetching = Скачиваю { $percent } % из { $size } МБ
    { $bar }
fetching-unknown = Скачиваю: уже { $size } МБ
converting = Конвертирую { $percent } %
    { $bar }
    { $speed }× · осталось { $left }
converting-start = Конвертирую…
sending = Отправляю { $percent } % из { $size } МБ
    { $bar }
paused = Перезапускаюсь, потом продолжу сам.
canceled = Отменено.
caption-copied = { $before } → { $after } МБ, без потери качества за { $took }
caption-picture-encoded = { $before } → { $after } МБ, изображение сконвертировано за { $took }
caption-sound-encoded = { $before } → { $after } МБ, сконвертирован только звук за { $took }
caption-encoded = { $before } → { $after } МБ, сконвертировано за { $took }
warning-damaged = Часть файла повреждена: { $percent } % потеряно.
warning-silent-track = Звук прочитать не удалось, видео без звука.
failed-not-media = Это не видео и не звук, или такой формат мне незнаком.
failed-no-stream = В этом файле нет { $wanted ->
    [audio] звука
   *[other] изображения
}, делать не из чего.
failed-unsupported = Такое видео я прочитать не могу ({ $what }).
failed-encrypted = Видео защищено от копирования, сконвертировать его не получится.
failed-incomplete = Файл оборван: в нём нет указателя, который идёт последним. Пришлите целую копию.
failed-no-encoder = { $what } я здесь сделать не могу. «▶️ Видео» сработает.
failed-cut-outside = Отрывок начинается с { $value }, а видео длится { $limit }.
failed-size-unreachable = { $value } видео не уместить в { $size } МБ так, чтобы было что смотреть. От { $min } МБ уже получится.
failed-damaged = Файл слишком повреждён: читается только { $percent } %, а нужно хотя бы { $min } %. Пришлите целую копию.
failed-too-long = Видео идёт { $value }, а предел { $limit }.
failed-too-many-pixels = Размер кадра { $width }×{ $height } ({ $value } Мп), предел { $limit } Мп.
failed-too-many-streams = В файле больше { $limit } дорожек.
failed-too-many-frames = В видео больше { $limit } кадров: для его длины это слишком много.
failed-over-limit = Файл требует слишком много памяти или работы для видео такого размера, поэтому я не стал его конвертировать.
failed-too-large = Файл весит { $size } МБ, а предел { $limit } МБ.
failed-too-large-to-send = Получилось { $size } МБ, а отправить я могу не больше { $limit } МБ. Попробуйте «Меньше», может поместиться.
failed-source-gone = Этот файл уже не скачать. Пришлите его ещё раз.
failed-time-limit = Это заняло больше { $limit } с, и я остановился. «Меньше» делается быстрее.
failed-network = Связь с Telegram слишком часто обрывалась. Попробуйте ещё раз.
failed-unconfirmed = Возможно, файл уже здесь: я его отправил, но Telegram это не подтвердил. Если его нет, попробуйте ещё раз.
failed-disk-full = У меня закончилось место на диске. Попробуйте чуть позже.
failed-internal = На моей стороне что-то сломалось, я это записал. Попробуйте ещё раз.
queue-empty = Ваших файлов в работе нет.
queue-title = Ваши файлы:
queue-running = { $job } · { $preset }: в работе
queue-waiting = { $job } · { $preset }: №{ $position } в очереди
cancel-choice = Забыли. Присылайте видео, когда захотите.
cancel-none = Отменять нечего.
cancel-all = { $count ->
    [one] Остановлен { $count } файл.
    [few] Остановлено { $count } файла.
   *[many] Остановлено { $count } файлов.
}
alert-cancel = Останавливаю…
alert-over = Здесь уже нечего отменять.
alert-not-yours = Это может только тот, кто прислал файл.
alert-expired = Кнопка устарела. Пришлите файл ещё раз.
settings = Новые файлы: { $default }
    Язык: { $language }
settings-chat = Файлы, о которых меня просят в этом чате: { $default }
    Язык здесь: { $language }
settings-ask = ❔ Каждый раз спрашивать
settings-auto = 🌐 Как в Telegram
settings-en = English
settings-ru = Русский
command-start = Что я умею
command-help = Помощь
command-convert = Сконвертировать файл, на который это ответ
command-again = Последний файл ещё раз
command-forget-me = Забыть всё обо мне
command-queue = Мои файлы
command-cancel = Остановить мои файлы
command-settings = Настройки
