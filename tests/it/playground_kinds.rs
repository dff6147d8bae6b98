//! What the stand-in makes of files: each by its own method, and refused where the real server refuses.

use kadr::playground::Playground;
use serde_json::{Value, json};

use crate::playground::{call, start};
use crate::support::{clip, playable_mkv};

/// Uploads a file by a method's own parameter.
async fn send(playground: &Playground, method: &str, path: &std::path::Path) -> Value {
    let field = match method {
        "sendVideoNote" => "video_note".to_owned(),
        _ => method.trim_start_matches("send").to_lowercase(),
    };
    let bytes = std::fs::read(path).unwrap();
    let name = path.file_name().unwrap().to_string_lossy().into_owned();
    let form = reqwest::multipart::Form::new()
        .text("chat_id", "1")
        .part(field, reqwest::multipart::Part::bytes(bytes).file_name(name));
    let url = format!("{}/bot{}/{method}", playground.api_url(), playground.token());
    let sent = reqwest::Client::new().post(url).multipart(form).send().await.unwrap();
    sent.json().await.unwrap()
}

/// The kind that an upload ended as, or the refusal.
async fn ends_as(playground: &Playground, method: &str, path: &std::path::Path) -> String {
    let sent = send(playground, method, path).await;
    if let Some(words) = sent["description"].as_str() {
        return words.to_owned();
    }
    let kinds = ["sticker", "voice", "video_note", "photo", "video", "document", "audio"];
    let kind = kinds.into_iter().find(|kind| !sent["result"][kind].is_null());
    kind.unwrap_or("nothing").to_owned()
}

#[tokio::test]
async fn a_sticker_keeps_the_rules_for_video_stickers() {
    let (playground, _client, _folder) = start().await;
    let vp9 = |name: &str, source: &str| {
        let args =
            format!("-f lavfi -i testsrc2={source} -an -c:v libvpx-vp9 -b:v 100k -deadline realtime -cpu-used 8");
        clip(name, &args)
    };
    let vp8 = clip(
        "vp8.webm",
        "-f lavfi -i testsrc2=s=512x288:r=10:d=1 -an -c:v libvpx -b:v 100k",
    );
    let large = clip(
        "large_sticker.webm",
        "-f lavfi -i nullsrc=s=512x512:r=10:d=2,geq=random(1)*255:128:128 -an -c:v libvpx-vp9 -b:v 9M -minrate 9M -deadline realtime",
    );
    for (path, expected) in [
        (vp9("s3.webm", "s=512x288:r=10:d=3"), "sticker"),
        (vp9("s4.webm", "s=512x288:r=10:d=4"), "Bad Request: STICKER_VIDEO_LONG"),
        (
            vp9("s256.webm", "s=256x256:r=10:d=1"),
            "Bad Request: STICKER_VIDEO_DIMENSIONS",
        ),
        (vp8, "Bad Request: STICKER_VIDEO_NOWEBM"),
        (large, "Bad Request: STICKER_VIDEO_BIG"),
        (playable_mkv(), "document"),
    ] {
        assert_eq!(
            ends_as(&playground, "sendSticker", &path).await,
            expected,
            "{}",
            path.display()
        );
    }
    assert_eq!(playground.chat(1)[0].width, 512);
}

#[tokio::test]
async fn a_round_video_is_square_and_short_or_no_round_video() {
    let (playground, _client, _folder) = start().await;
    let film = |name: &str, source: &str| {
        clip(
            name,
            &format!("-f lavfi -i color=c=blue:{source} -c:v libx264 -preset ultrafast -pix_fmt yuv420p"),
        )
    };
    for (path, expected) in [
        (film("square.mp4", "s=384x384:r=10:d=2"), "video_note"),
        (film("wide.mp4", "s=640x360:r=10:d=2"), "video"),
        (film("long_square.mp4", "s=64x64:r=2:d=62"), "video"),
    ] {
        assert_eq!(ends_as(&playground, "sendVideoNote", &path).await, expected);
    }
    let sent = send(&playground, "sendVideoNote", &film("square.mp4", "s=384x384:r=10:d=2")).await;
    assert_eq!(sent["result"]["video_note"]["length"], 384);
}

#[tokio::test]
async fn a_voice_message_is_ogg_or_it_is_a_file() {
    let (playground, _client, _folder) = start().await;
    let ogg = clip("tone.ogg", "-f lavfi -i sine=d=2 -c:a libopus -b:a 32k");
    assert_eq!(ends_as(&playground, "sendVoice", &ogg).await, "voice");
    assert_eq!(ends_as(&playground, "sendVoice", &playable_mkv()).await, "document");
}

#[tokio::test]
async fn a_photo_is_a_picture_of_sane_size() {
    let (playground, _client, _folder) = start().await;
    let picture = |name: &str, size: &str| clip(name, &format!("-f lavfi -i color=c=red:s={size}:d=1 -frames:v 1"));
    for (path, expected) in [
        (picture("p.jpg", "320x180"), "photo"),
        (picture("p.png", "320x180"), "photo"),
        (
            picture("strip.jpg", "2100x100"),
            "Bad Request: PHOTO_INVALID_DIMENSIONS",
        ),
        (playable_mkv(), "Bad Request: IMAGE_PROCESS_FAILED"),
    ] {
        assert_eq!(ends_as(&playground, "sendPhoto", &path).await, expected);
    }
}

/// Sends an album of so many items of these kinds, all with the same bytes.
async fn album(playground: &Playground, kinds: &[&str]) -> Value {
    let bytes = std::fs::read(clip("p.jpg", "-f lavfi -i color=c=red:s=320x180:d=1 -frames:v 1")).unwrap();
    let media: Vec<Value> = kinds
        .iter()
        .enumerate()
        .map(|(at, kind)| json!({ "type": kind, "media": format!("attach://f{at}"), "caption": if at == 0 { "one" } else { "" } }))
        .collect();
    let mut form = reqwest::multipart::Form::new()
        .text("chat_id", "1")
        .text("media", json!(media).to_string());
    for at in 0..kinds.len() {
        let part = reqwest::multipart::Part::bytes(bytes.clone()).file_name("p.jpg");
        form = form.part(format!("f{at}"), part);
    }
    let url = format!("{}/bot{}/sendMediaGroup", playground.api_url(), playground.token());
    let sent = reqwest::Client::new().post(url).multipart(form).send().await.unwrap();
    sent.json().await.unwrap()
}

#[tokio::test]
async fn an_album_is_one_answer_with_all_messages_and_mixes_only_films_and_photos() {
    let (playground, client, _folder) = start().await;
    let sent = album(&playground, &["photo", "video", "photo"]).await;
    let messages = sent["result"].as_array().unwrap();
    let group = &messages[0]["media_group_id"];
    assert!(group.is_string() && messages.iter().all(|message| &message["media_group_id"] == group));
    assert_eq!((messages.len(), &messages[0]["caption"]), (3, &"one".into()));
    for (kinds, words) in [
        (vec![], "there are no messages to send"),
        (vec!["video"], "media must include 2-10 items"),
        (vec!["photo"; 11], "too many messages to send as an album"),
        (
            vec!["document", "video"],
            "document can't be mixed with other media types",
        ),
        (vec!["audio", "video"], "audio can't be mixed with other media types"),
        (
            vec!["video", "animation"],
            "can't parse InputMedia: type \"animation\" can't be used in sendMediaGroup",
        ),
    ] {
        let refused = album(&playground, &kinds).await;
        assert_eq!(refused["description"], format!("Bad Request: {words}"));
    }
    assert_eq!(playground.chat(1).len(), 3, "a refused album shows nothing");

    let edit = json!({ "chat_id": 1, "message_id": messages[1]["message_id"],
        "media": { "type": "document", "media": messages[1]["video"]["file_id"] } });
    let edited = call(&playground, &client, "editMessageMedia", edit).await;
    assert_eq!(
        edited["description"],
        "Bad Request: can't change media type in the album"
    );
}
