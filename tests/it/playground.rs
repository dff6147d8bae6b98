//! The stand-in itself: it must be as strict as the real server.

use std::time::Duration;

use kadr::playground::{Fault, Options, Playground, SendAs, Server};
use serde_json::{Value, json};

use crate::support::{clip, playable_mkv, shipped_clip};

pub(crate) async fn start() -> (Playground, reqwest::Client, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let options = Options {
        port: 0,
        data_dir: folder.path().to_owned(),
    };
    let playground = Playground::start(options).await.unwrap();
    playground.add_user(1, "Anna", "en");
    (playground, reqwest::Client::new(), folder)
}

pub(crate) async fn call(playground: &Playground, client: &reqwest::Client, method: &str, body: Value) -> Value {
    let url = format!("{}/bot{}/{method}", playground.api_url(), playground.token());
    client.post(url).json(&body).send().await.unwrap().json().await.unwrap()
}

#[tokio::test]
async fn an_offset_confirms_what_is_before_it_and_nothing_else() {
    let (playground, client, _folder) = start().await;
    playground.send_text(1, "one");
    playground.send_text(1, "two");
    let poll = |offset: i64| {
        call(
            &playground,
            &client,
            "getUpdates",
            json!({ "offset": offset, "timeout": 0 }),
        )
    };
    let first = poll(0).await;
    assert_eq!(first["result"].as_array().unwrap().len(), 2);
    assert_eq!(
        poll(0).await["result"].as_array().unwrap().len(),
        2,
        "not confirmed yet"
    );
    let next = first["result"][0]["update_id"].as_i64().unwrap() + 1;
    assert_eq!(poll(next).await["result"][0]["message"]["text"], "two");
    assert_eq!(poll(0).await["result"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_second_poller_turns_the_first_away() {
    let (playground, client, _folder) = start().await;
    let first = call(&playground, &client, "getUpdates", json!({ "timeout": 20 }));
    let second = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        let polled = call(&playground, &client, "GetUpdates", json!({ "timeout": 0 })).await;
        playground.send_text(1, "wake");
        polled
    };
    let (first, second) = tokio::join!(first, second);
    assert_eq!((&first["error_code"], &second["ok"]), (&409.into(), &true.into()));
}

#[tokio::test]
async fn edits_and_answers_are_as_strict_as_the_real_server() {
    let (playground, client, _folder) = start().await;
    let sent = call(
        &playground,
        &client,
        "sendMessage",
        json!({ "chat_id": 1, "text": "a" }),
    )
    .await;
    let edit = json!({ "chat_id": 1, "message_id": sent["result"]["message_id"], "text": "a" });
    let same = call(&playground, &client, "editMessageText", edit).await;
    assert!(
        same["description"]
            .as_str()
            .unwrap()
            .contains("message is not modified")
    );
    let gone = call(
        &playground,
        &client,
        "editMessageText",
        json!({ "chat_id": 1, "message_id": 999, "text": "b" }),
    )
    .await;
    assert_eq!(gone["description"], "Bad Request: message to edit not found");
    let long = json!({ "inline_keyboard": [[{ "text": "x", "callback_data": "x".repeat(65) }]] });
    let keyed = call(
        &playground,
        &client,
        "sendMessage",
        json!({ "chat_id": 1, "text": "a", "reply_markup": long }),
    )
    .await;
    assert_eq!(keyed["description"], "Bad Request: BUTTON_DATA_INVALID");
    let answer = call(
        &playground,
        &client,
        "answerCallbackQuery",
        json!({ "callback_query_id": "q1" }),
    )
    .await;
    assert!(answer["description"].as_str().unwrap().contains("query ID is invalid"));
}

/// Uploads by hand: `size_bytes` zeros, made as they are sent.
async fn upload(playground: &Playground, client: &reqwest::Client, size_bytes: u64) -> Value {
    const CHUNK: u64 = 500_000;
    let chunks = futures::stream::iter((0..size_bytes.div_ceil(CHUNK)).map(move |at| {
        let length = usize::try_from(CHUNK.min(size_bytes - at * CHUNK)).unwrap();
        Ok::<_, std::io::Error>(vec![0_u8; length])
    }));
    let file = reqwest::multipart::Part::stream(reqwest::Body::wrap_stream(chunks)).file_name("zeros.mp4");
    let form = reqwest::multipart::Form::new()
        .text("chat_id", "1")
        .text("video", "attach://zeros")
        .part("zeros", file);
    let url = format!("{}/bot{}/SendVideo", playground.api_url(), playground.token());
    let sent = client.post(url).multipart(form).send().await.unwrap();
    sent.json().await.unwrap()
}

fn files_in(folder: &tempfile::TempDir) -> usize {
    std::fs::read_dir(folder.path()).unwrap().count()
}

#[tokio::test]
async fn an_upload_over_50_mb_is_refused_and_leaves_no_file() {
    let (playground, client, folder) = start().await;
    let refused = upload(&playground, &client, 50_000_001).await;
    assert_eq!(refused["error_code"], 413, "{refused}");
    assert_eq!(refused["description"], "Request Entity Too Large");
    assert_eq!((playground.chat(1).len(), files_in(&folder)), (0, 0));
}

#[tokio::test]
async fn an_upload_is_kept_byte_for_byte_and_a_large_one_is_not_analysed() {
    let (playground, client, _folder) = start().await;
    let sent = upload(&playground, &client, 12_000_000).await;
    let video = &sent["result"]["video"];
    assert_eq!(
        (&video["width"], &video["height"], &video["duration"]),
        (&320.into(), &320.into(), &0.into())
    );
    let path = playground.chat(1)[0].path.clone().unwrap();
    let bytes = std::fs::read(path).unwrap();
    assert!(bytes.len() == 12_000_000 && bytes.iter().all(|byte| *byte == 0));
}

#[tokio::test]
async fn a_poll_wakes_when_something_happens() {
    let (playground, client, _folder) = start().await;
    let polling = call(&playground, &client, "getUpdates", json!({ "timeout": 50 }));
    let writing = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        playground.send_text(1, "hello");
    };
    let (polled, ()) = tokio::time::timeout(Duration::from_secs(20), async { tokio::join!(polling, writing) })
        .await
        .expect("it does not wait for its 50 s");
    assert_eq!(polled["result"][0]["message"]["text"], "hello");
    let polls = playground.polls();
    assert_eq!(polls[0].given, [polled["result"][0]["update_id"].as_i64().unwrap()]);
}

/// The path of a file that person 1 sent, by `getFile`.
async fn sent_path(playground: &Playground, client: &reqwest::Client, path: &std::path::Path) -> String {
    playground.send_file(1, path, SendAs::Document).unwrap();
    let file_id = playground.chat(1).last().unwrap().file.clone().unwrap();
    let file = call(playground, client, "getFile", json!({ "file_id": file_id })).await;
    file["result"]["file_path"]
        .as_str()
        .unwrap_or_else(|| panic!("{file}"))
        .to_owned()
}

fn file_url(playground: &Playground, path: &str) -> String {
    format!("{}/file/bot{}/{path}", playground.api_url(), playground.token())
}

#[tokio::test]
async fn a_file_comes_whole_or_in_ranges_with_its_slash_encoded_or_not() {
    let (playground, client, folder) = start().await;
    let source = folder.path().join("source.bin");
    let bytes: Vec<u8> = (0..100_000_u32).map(|at| (at % 251).to_le_bytes()[0]).collect();
    std::fs::write(&source, &bytes).unwrap();
    let path = sent_path(&playground, &client, &source).await;
    for path in [path.clone(), path.replace('/', "%2F")] {
        let whole = client.get(file_url(&playground, &path)).send().await.unwrap();
        assert!(whole.bytes().await.unwrap() == bytes);
    }
    for (range, from, to) in [
        ("bytes=99000-", 99_000, 100_000),
        ("bytes=10-19", 10, 20),
        ("bytes=-5", 99_995, 100_000),
    ] {
        let asked = client.get(file_url(&playground, &path)).header("range", range);
        let part = asked.send().await.unwrap();
        assert_eq!(part.status(), 206, "{range}");
        let told = part.headers()["content-range"].to_str().unwrap().to_owned();
        assert_eq!(told, format!("bytes {from}-{}/100000", to - 1));
        assert!(part.bytes().await.unwrap() == bytes[from..to], "{range}");
    }
    let beyond = client
        .get(file_url(&playground, &path))
        .header("range", "bytes=100000-");
    assert_eq!(beyond.send().await.unwrap().status(), 416);
    let unknown = client
        .get(file_url(&playground, "documents/none.bin"))
        .send()
        .await
        .unwrap();
    assert_eq!(unknown.status(), 404);
}

#[tokio::test]
async fn a_file_over_20_mib_is_not_given_but_by_a_local_server() {
    let (playground, client, folder) = start().await;
    let source = folder.path().join("large.mkv");
    std::fs::File::create(&source).unwrap().set_len((20 << 20) + 1).unwrap();
    playground.send_file(1, &source, SendAs::Document).unwrap();
    let file_id = playground.chat(1)[0].file.clone().unwrap();
    let ask = || call(&playground, &client, "getFile", json!({ "file_id": file_id }));
    assert_eq!(ask().await["description"], "Bad Request: file is too big");
    playground.set_server(Server::Local);
    let path = ask().await["result"]["file_path"].as_str().unwrap().to_owned();
    assert_eq!(std::fs::metadata(path).unwrap().len(), (20 << 20) + 1);
}

#[tokio::test]
async fn a_local_server_has_its_files_on_its_disk_alone() {
    let (playground, client, folder) = start().await;
    playground.set_server(Server::Local);
    playground.send_file(1, &shipped_clip(), SendAs::Document).unwrap();
    let file_id = playground.chat(1)[0].file.clone().unwrap();
    let get = || call(&playground, &client, "getFile", json!({ "file_id": file_id }));
    let path = get().await["result"]["file_path"].as_str().unwrap().to_owned();
    assert!(
        path.starts_with(folder.path().to_str().unwrap()) && path.contains("/documents/"),
        "{path}"
    );
    let over_http = client.get(file_url(&playground, path.trim_start_matches('/')));
    assert_eq!(over_http.send().await.unwrap().status(), 404);
    // Deleted by the bot, as it may: the server gets it again.
    std::fs::remove_file(&path).unwrap();
    assert_eq!(get().await["result"]["file_path"], json!(path));
    assert_eq!(std::fs::read(&path).unwrap(), std::fs::read(shipped_clip()).unwrap());
}

#[tokio::test]
async fn a_file_is_named_on_the_disk_only_to_a_local_server_and_only_where_it_can_be_read() {
    let (playground, client, folder) = start().await;
    let send = |name: String| {
        call(
            &playground,
            &client,
            "sendVideo",
            json!({ "chat_id": 1, "video": name }),
        )
    };
    let readable = format!("file://{}", shipped_clip().display());
    let cloud = send(readable.clone()).await;
    assert_eq!(
        cloud["description"],
        "Bad Request: wrong file identifier/HTTP URL specified"
    );
    playground.set_server(Server::Local);
    assert_eq!(send(readable).await["result"]["video"]["mime_type"], "video/mpeg");
    std::fs::write(folder.path().join("empty"), "").unwrap();
    std::fs::File::create(folder.path().join("huge"))
        .unwrap()
        .set_len(2_097_152_001)
        .unwrap();
    for (name, words) in [
        ("none", "can't find real file path"),
        ("", "file must be a regular file"),
        ("empty", "file must be non-empty"),
        ("huge", "file is too big"),
    ] {
        let refused = send(format!("file://{}/{name}", folder.path().display())).await;
        assert_eq!(refused["description"], format!("Bad Request: {words}"), "{name}");
    }
}

#[tokio::test]
async fn a_bot_that_logged_out_is_answered_nothing_more() {
    let (playground, client, _folder) = start().await;
    assert_eq!(call(&playground, &client, "logOut", json!({})).await["result"], true);
    for method in ["getMe", "getUpdates", "logOut"] {
        let refused = call(&playground, &client, method, json!({})).await;
        assert_eq!(
            (&refused["error_code"], &refused["description"]),
            (&400.into(), &"Logged out".into())
        );
    }
}

#[tokio::test]
async fn the_same_bytes_have_one_unique_id_and_a_file_is_sent_again_by_its_id() {
    let (playground, client, _folder) = start().await;
    for send_as in [SendAs::Document, SendAs::Video] {
        playground.send_file(1, &shipped_clip(), send_as).unwrap();
    }
    let polled = call(&playground, &client, "getUpdates", json!({})).await;
    let document = &polled["result"][0]["message"]["document"];
    let video = &polled["result"][1]["message"]["video"];
    assert_eq!(document["file_unique_id"], video["file_unique_id"]);
    assert_ne!(document["file_id"], video["file_id"]);
    let again =
        json!({ "chat_id": 1, "video": video["file_id"], "caption": "<b>again</b> &amp; again", "parse_mode": "HTML" });
    let sent = call(&playground, &client, "sendVideo", again).await;
    assert_eq!(sent["result"]["video"]["file_id"], video["file_id"]);
    assert_eq!(sent["result"]["caption"], "again & again");
    assert_eq!(
        sent["result"]["caption_entities"][0],
        json!({ "type": "bold", "offset": 0, "length": 5 })
    );
    let stale = call(
        &playground,
        &client,
        "sendVideo",
        json!({ "chat_id": 1, "video": "BAAC-stale" }),
    )
    .await;
    assert_eq!(
        stale["description"],
        "Bad Request: wrong file identifier/HTTP URL specified"
    );
}

#[tokio::test]
async fn a_button_is_answered_once_and_in_time_and_its_presser_sees_the_words() {
    let (playground, client, _folder) = start().await;
    let keyboard = json!({ "inline_keyboard": [[{ "text": "Go", "callback_data": "go" }]] });
    call(
        &playground,
        &client,
        "sendMessage",
        json!({ "chat_id": 1, "text": "?", "reply_markup": keyboard }),
    )
    .await;
    assert!(!playground.press(1, "Stop") && playground.press(1, "Go"));
    let polled = call(&playground, &client, "getUpdates", json!({})).await;
    let query = &polled["result"][0]["callback_query"];
    assert_eq!((&query["data"], &query["from"]["id"]), (&"go".into(), &1.into()));
    let answer = json!({ "callback_query_id": query["id"], "text": "gone" });
    assert_eq!(
        call(&playground, &client, "answerCallbackQuery", answer.clone()).await["result"],
        true
    );
    let second = call(&playground, &client, "answerCallbackQuery", answer).await;
    let late = "Bad Request: query is too old and response timeout expired or query ID is invalid";
    assert_eq!(second["description"], late);
    assert_eq!(playground.toasts(), [(1, "gone".to_owned())]);

    playground.set_callback_deadline(Duration::ZERO);
    assert!(playground.press(1, "go"));
    let offset = polled["result"][0]["update_id"].as_i64().unwrap() + 1;
    let polled = call(&playground, &client, "getUpdates", json!({ "offset": offset })).await;
    let answer = json!({ "callback_query_id": polled["result"][0]["callback_query"]["id"] });
    assert_eq!(
        call(&playground, &client, "answerCallbackQuery", answer).await["description"],
        late
    );
}

#[tokio::test]
async fn faults_come_as_planned_and_then_are_over() {
    let (playground, client, _folder) = start().await;
    let post = |text: &'static str| {
        let url = format!("{}/bot{}/sendMessage", playground.api_url(), playground.token());
        client.post(url).json(&json!({ "chat_id": 1, "text": text })).send()
    };
    playground.plan("sendMessage", 1, Fault::TooManyRequests(7));
    let flood: Value = post("a").await.unwrap().json().await.unwrap();
    assert_eq!(
        (&flood["error_code"], &flood["parameters"]["retry_after"]),
        (&429.into(), &7.into())
    );
    playground.plan("*", 1, Fault::ServerError);
    assert_eq!(post("b").await.unwrap().status(), 500);
    playground.plan("sendMessage", 1, Fault::Reset);
    assert!(post("c").await.is_err());
    assert!(playground.chat(1).is_empty(), "it broke before it took effect");
    playground.plan("sendMessage", 1, Fault::LostAnswer);
    assert!(post("d").await.is_err());
    assert_eq!(playground.chat(1)[0].text, "d", "it broke after it took effect");
    assert_eq!(post("e").await.unwrap().status(), 200);
    let statuses: Vec<u16> = playground.transcript().iter().map(|call| call.status).collect();
    assert_eq!(statuses, [429, 500, 0, 200, 200]);
}

#[tokio::test]
async fn a_download_breaks_off_where_it_was_planned() {
    let (playground, client, _folder) = start().await;
    let path = sent_path(&playground, &client, &shipped_clip()).await;
    playground.plan("download", 1, Fault::ShortRead(1000));
    let short = client.get(file_url(&playground, &path)).send().await;
    let broken = match short {
        Ok(response) => response.bytes().await.is_err(),
        Err(_) => true,
    };
    assert!(broken);
    playground.plan("download", 1, Fault::NotFound);
    assert_eq!(
        client.get(file_url(&playground, &path)).send().await.unwrap().status(),
        404
    );
    assert_eq!(
        client.get(file_url(&playground, &path)).send().await.unwrap().status(),
        200
    );
}

#[tokio::test]
async fn in_a_group_the_bot_hears_what_privacy_mode_lets_through() {
    let (playground, client, _folder) = start().await;
    playground.add_user(2, "Борис", "ru");
    playground.add_group(-100, "Films", &[1, 2]);
    let film = playground
        .send_file_in(1, -100, &shipped_clip(), SendAs::Document, "")
        .unwrap();
    for text in ["hello", "/convert@other_bot"] {
        playground.write(2, -100, text, None).unwrap();
    }
    playground.write(2, -100, "/convert@kadr_bot", Some(film)).unwrap();
    let polled = call(&playground, &client, "getUpdates", json!({})).await;
    let heard = polled["result"].as_array().unwrap();
    assert_eq!(heard.len(), 1);
    let message = &heard[0]["message"];
    assert_eq!(
        (&message["from"]["id"], &message["chat"]["id"]),
        (&2.into(), &(-100).into())
    );
    assert_eq!(
        message["reply_to_message"]["document"]["file_name"],
        "hello_mpeg2_mp2.mpeg"
    );
}

#[tokio::test]
async fn a_blocked_bot_and_strangers_are_turned_away() {
    let (playground, client, _folder) = start().await;
    let say = || {
        call(
            &playground,
            &client,
            "sendMessage",
            json!({ "chat_id": 1, "text": "a" }),
        )
    };
    playground.block(1, true);
    assert_eq!(say().await["description"], "Forbidden: bot was blocked by the user");
    playground.block(1, false);
    assert_eq!(say().await["ok"], true);
    let url = format!("{}/bot1:wrong/getMe", playground.api_url());
    assert_eq!(client.get(url).send().await.unwrap().status(), 401);
    let foreign = client.get(playground.page_url()).header("origin", "http://example.org");
    assert_eq!(foreign.send().await.unwrap().status(), 403);
    assert_eq!(client.get(playground.page_url()).send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn an_end_of_the_playground_ends_its_connections() {
    let (playground, client, _folder) = start().await;
    let url = format!(
        "{}/bot{}/getUpdates?timeout=50",
        playground.api_url(),
        playground.token()
    );
    let polling = tokio::spawn(client.get(url).send());
    tokio::time::sleep(Duration::from_millis(200)).await;
    tokio::time::timeout(Duration::from_secs(20), playground.stop())
        .await
        .expect("it does not wait for the poll");
    assert!(polling.await.unwrap().is_err());
}

#[tokio::test]
async fn a_real_client_reads_every_shape() {
    use teloxide::prelude::*;
    use teloxide::types::{FileId, InputFile, InputMedia, InputMediaVideo, MessageId, ParseMode, UpdateKind, UserId};

    let (playground, _client, _folder) = start().await;
    playground.add_group(-100, "Films", &[1]);
    let bot = Bot::new(playground.token()).set_api_url(playground.api_url().parse().unwrap());
    assert_eq!(bot.get_me().await.unwrap().username(), "kadr_bot");
    let chat = ChatId(1);
    bot.get_webhook_info().await.unwrap();
    bot.delete_webhook().await.unwrap();
    bot.get_chat(ChatId(-100)).await.unwrap();
    assert!(bot.get_chat_member(ChatId(-100), UserId(1)).await.unwrap().is_owner());
    bot.send_chat_action(chat, teloxide::types::ChatAction::UploadVideo)
        .await
        .unwrap();

    for send_as in [
        SendAs::Video,
        SendAs::Document,
        SendAs::Animation,
        SendAs::VideoNote,
        SendAs::Audio,
        SendAs::Voice,
        SendAs::Photo,
        SendAs::Sticker,
    ] {
        playground.send_file(1, &shipped_clip(), send_as).unwrap();
    }
    let forwarded = playground.chat(1)[1].id;
    playground.forward(1, 1, forwarded, 1).unwrap();
    for update in bot.get_updates().await.unwrap() {
        assert!(!matches!(update.kind, UpdateKind::Error(_)), "{update:?}");
    }

    let status = bot
        .send_message(chat, "<b>wait</b>")
        .parse_mode(ParseMode::Html)
        .await
        .unwrap();
    let film = || InputFile::file(playable_mkv()).file_name("film.mp4");
    let media = InputMediaVideo::new(film()).width(320).height(240).caption("done");
    let edited = bot
        .edit_message_media(chat, status.id, InputMedia::Video(media))
        .await
        .unwrap();
    let video = edited.video().unwrap();
    assert_eq!((edited.id, video.width, video.height), (status.id, 320, 240));
    let file_id = FileId(video.file.id.to_string());
    bot.edit_message_caption(chat, status.id)
        .caption("really done")
        .await
        .unwrap();
    bot.send_video(chat, InputFile::file_id(file_id)).await.unwrap();
    bot.send_document(chat, film()).await.unwrap();
    bot.send_animation(chat, film()).await.unwrap();
    bot.send_video_note(chat, film()).await.unwrap();
    bot.send_audio(chat, film()).await.unwrap();
    bot.send_voice(chat, film()).await.unwrap();
    let picture = clip("picture.jpg", "-f lavfi -i testsrc2=s=320x180:d=1 -frames:v 1");
    bot.send_photo(chat, InputFile::file(picture)).await.unwrap();
    let sticker = clip(
        "sticker.webm",
        "-f lavfi -i testsrc2=s=512x288:r=10:d=1 -an -c:v libvpx-vp9 -b:v 200k",
    );
    let sent = bot.send_sticker(chat, InputFile::file(sticker)).await.unwrap();
    assert!(sent.sticker().unwrap().is_video());
    bot.get_chat_administrators(ChatId(-100)).await.unwrap();
    let album = [film(), film()].map(|file| InputMedia::Video(InputMediaVideo::new(file)));
    assert_eq!(bot.send_media_group(chat, album).await.unwrap().len(), 2);
    bot.delete_message(chat, status.id).await.unwrap();
    assert!(bot.delete_message(chat, MessageId(1)).await.is_err());
    assert_eq!(playground.counts(1).media, 10);
}

#[tokio::test]
async fn a_text_becomes_a_video_once_and_a_second_upload_is_counted() {
    let (playground, client, _folder) = start().await;
    let sent = call(
        &playground,
        &client,
        "sendMessage",
        json!({ "chat_id": 1, "text": "wait" }),
    )
    .await;
    let id = sent["result"]["message_id"].as_i64().unwrap();
    let url = format!("{}/bot{}/editMessageMedia", playground.api_url(), playground.token());
    let thumbnail = clip("thumbnail.jpg", "-f lavfi -i testsrc2=s=320x180:d=1 -frames:v 1");
    let oversize = clip("oversize.jpg", "-f lavfi -i testsrc2=s=640x360:d=1 -frames:v 1");
    for (round, (picture, kept)) in [(&thumbnail, true), (&oversize, false)].into_iter().enumerate() {
        let media = json!({ "type": "video", "media": "attach://v", "thumbnail": "attach://t", "width": 640, "height": 360,
            "duration": 3, "supports_streaming": true, "caption": "done" });
        let part = |path: &std::path::Path| {
            let bytes = std::fs::read(path).unwrap();
            reqwest::multipart::Part::bytes(bytes).file_name("f.mp4")
        };
        let form = reqwest::multipart::Form::new()
            .text("chat_id", "1")
            .text("message_id", id.to_string())
            .text("media", media.to_string())
            .part("v", part(&playable_mkv()))
            .part("t", part(picture));
        let edited: Value = client
            .post(&url)
            .multipart(form)
            .send()
            .await
            .unwrap()
            .json()
            .await
            .unwrap();
        assert_eq!(edited["result"]["video"]["duration"], 3, "{edited}");
        let message = playground.chat(1)[0].clone();
        assert!(message.supports_streaming);
        assert_eq!(message.thumbnail, kept, "a thumbnail over 320 pixels is left out");
        assert_eq!(playground.counts(1).deliveries[&id] as usize, round + 1);
    }
    let text = json!({ "chat_id": 1, "message_id": id, "text": "b" });
    let back = call(&playground, &client, "editMessageText", text).await;
    assert_eq!(
        back["description"],
        "Bad Request: there is no text in the message to edit"
    );
}

#[tokio::test]
async fn a_button_that_never_comes_is_waited_for_only_so_long() {
    let (playground, _client, _folder) = start().await;
    let pressed = |_: &[kadr::playground::Message]| playground.press(1, "no such button").then_some(());
    assert_eq!(playground.wait(1, Duration::from_millis(200), pressed).await, None);
}
