start = Пришлите любое видео, и я верну его в таком виде, который откроется везде. Выберите, что сделать, или просто пришлите файл.
help = Пришлите видео, файл, анимацию или кружок. В ответ придёт видео, которое откроется на любом телефоне.
    ▶️ Видео: откроется везде, по возможности без потери качества
    📦 Меньше: не больше 720p, примерно вдвое легче
    🎵 Звук: только звуковая дорожка

    /queue показывает ваши файлы, /cancel останавливает их, /settings задаёт, что делать без вопросов. Принимаю файлы до { $limit } МБ.
button-play = ▶️ Видео
button-small = 📦 Меньше
button-audio = 🎵 Звук
button-cancel = Отменить
button-retry = Ещё раз
waiting = Хорошо: { $preset }. Теперь пришлите файл.
choose = Что из него сделать?
queued = В очереди: №{ $position }
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
failed-over-limit = Файл требует слишком много памяти для видео такого размера, поэтому я не стал его открывать.
failed-too-large = Файл весит { $size } МБ, а предел { $limit } МБ.
failed-too-large-to-send = Получилось { $size } МБ, а отправить я могу не больше { $limit } МБ. Попробуйте «Меньше», может поместиться.
failed-source-gone = Этот файл уже не скачать. Пришлите его ещё раз.
failed-time-limit = Это заняло больше { $limit } с, и я остановился. «Меньше» делается быстрее.
failed-network = Связь с Telegram слишком часто обрывалась. Попробуйте ещё раз.
failed-disk-full = У меня закончилось место на диске. Попробуйте чуть позже.
failed-internal = На моей стороне что-то сломалось, я это записал. Попробуйте ещё раз.
queue-empty = Ваших файлов в работе нет.
queue-title = Ваши файлы:
queue-running = { $preset }: в работе
queue-waiting = { $preset }: №{ $position } в очереди
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
settings-ask = ❔ Каждый раз спрашивать
settings-auto = 🌐 Как в Telegram
settings-en = English
settings-ru = Русский
command-start = Что я умею
command-help = Помощь
command-queue = Мои файлы
command-cancel = Остановить мои файлы
command-settings = Настройки
