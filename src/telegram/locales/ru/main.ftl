start = Пришлите любое видео, и я верну его таким, что оно откроется везде. Выберите, что сделать, или просто пришлите файл.
help = Пришлите видео, файл, анимацию или кружок. В ответ придёт видео, которое откроется на любом телефоне.
    ▶️ Видео: откроется везде, по возможности без потери качества
    📦 Меньше: не больше 720p, примерно вдвое легче
    🎵 Звук: только звуковая дорожка

    /queue показывает ваши файлы, /cancel останавливает их, /settings выбирает, что делать без вопросов. Файлы до { $limit } МБ.
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
user-queue-full = У вас уже { $limit ->
    [one] { $limit } файл ждёт
    [few] { $limit } файла ждут
   *[many] { $limit } файлов ждут
} очереди, больше нельзя. Пришлите этот снова, когда один будет готов.
queue-full = Сейчас ждёт слишком много файлов (предел { $limit }). Попробуйте позже.
quarantined = На этом файле программа уже падала, поэтому неделю он не принимается.
too-large-unknown = Файл больше { $limit } МБ, столько я принять не могу. Сделайте его короче или легче и пришлите снова.
too-large = В файле { $size } МБ, а принять я могу до { $limit } МБ. Сделайте его короче или легче и пришлите снова.
not-media = Это не видео и не звук. Пришлите видео, и оно заработает.
fetching = Скачиваю { $percent } % из { $size } МБ
    { $bar }
fetching-unknown = Скачиваю, уже { $size } МБ
converting = Конвертирую { $percent } %
    { $bar }
    { $speed }× · осталось { $left }
converting-start = Конвертирую…
sending = Отправляю { $percent } % из { $size } МБ
    { $bar }
paused = Пауза на перезапуск, дальше пойдёт само.
canceled = Отменено.
caption-copied = { $before } → { $after } МБ, без потери качества за { $took }
caption-picture-encoded = { $before } → { $after } МБ, картинка сконвертирована за { $took }
caption-sound-encoded = { $before } → { $after } МБ, сконвертирован только звук за { $took }
caption-encoded = { $before } → { $after } МБ, сделано за { $took }
warning-damaged = { $percent } % файла повреждено и потеряно.
warning-silent-track = Звук прочитать не удалось, видео без звука.
failed-not-media = Это не видео и не звук, который я знаю.
failed-no-stream = Для этого в файле ничего нет: { $wanted ->
    [audio] нет звука
   *[other] нет изображения
}.
failed-unsupported = Такое видео я прочитать не могу ({ $what }).
failed-encrypted = Видео защищено от копирования, сконвертировать его нельзя.
failed-incomplete = Файл оборван: в нём нет указателя, который идёт последним. Пришлите целую копию.
failed-no-encoder = { $what } я здесь сделать не могу. «▶️ Видео» сработает.
failed-cut-outside = Отрывок начинается с { $value }, а видео длится { $limit }.
failed-size-unreachable = { $value } видео не уместить в { $size } МБ так, чтобы было что смотреть. От { $min } МБ уже получится.
failed-damaged = Файл слишком повреждён: читается { $percent } %, а нужно { $min } %. Пришлите целую копию.
failed-too-long = Видео длится { $value }, предел { $limit }.
failed-too-many-pixels = Размер кадра { $width }×{ $height } ({ $value } Мп), предел { $limit } Мп.
failed-too-many-streams = В файле больше { $limit } дорожек.
failed-over-limit = Файл требует больше памяти, чем бывает у видео такого размера, поэтому я его не открыл.
failed-too-large = В файле { $size } МБ, предел { $limit } МБ.
failed-too-large-to-send = Вышло { $size } МБ, а отправить я могу { $limit } МБ. «Меньше» может поместиться.
failed-source-gone = Файл больше не получить. Пришлите его ещё раз.
failed-time-limit = Это заняло больше { $limit } с, и я остановился. «Меньше» работает быстрее.
failed-network = Связь с Telegram обрывалась слишком часто. Попробуйте ещё раз.
failed-disk-full = У меня сейчас кончилось место. Попробуйте чуть позже.
failed-internal = У меня что-то сломалось; это записано. Попробуйте ещё раз.
queue-empty = Ваших файлов в работе нет.
queue-title = Ваши файлы:
queue-running = { $job }: в работе
queue-waiting = { $job }: №{ $position } в очереди
cancel-choice = Забыли. Присылайте видео, когда захотите.
cancel-none = Отменять нечего.
cancel-all = { $count ->
    [one] Остановлен { $count } файл.
    [few] Остановлено { $count } файла.
   *[many] Остановлено { $count } файлов.
}
alert-cancel = Останавливаю…
alert-over = Уже закончено.
alert-not-yours = Это может только тот, кто прислал файл.
alert-expired = Кнопка устарела. Пришлите файл ещё раз.
settings = Без вопросов: { $default }
    Язык: { $language }
settings-ask = всегда спрашивать
settings-auto = как в Telegram
settings-en = English
settings-ru = Русский
command-start = Что я умею
command-help = Помощь
command-queue = Мои файлы
command-cancel = Остановить мои файлы
command-settings = Настройки
