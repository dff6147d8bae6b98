//! The stand-in's groups, topics, albums, commands and flood control: as strict as the real server.

use kadr::playground::{Playground, SendAs};
use serde_json::{Value, json};

use crate::playground::{call, start};
use crate::support::{clip, shipped_clip};

const GROUP: i64 = -100;

/// The messages of all updates that are there, and confirms them.
async fn heard(playground: &Playground, client: &reqwest::Client) -> Vec<Value> {
    let polled = call(playground, client, "getUpdates", json!({})).await;
    let updates = polled["result"].as_array().unwrap().clone();
    let next = updates.last().map_or(0, |last| last["update_id"].as_i64().unwrap() + 1);
    call(playground, client, "getUpdates", json!({ "offset": next })).await;
    updates.into_iter().map(|update| update["message"].clone()).collect()
}

#[tokio::test]
async fn an_admin_bot_hears_all_and_one_that_was_thrown_out_nothing() {
    let (playground, client, _folder) = start().await;
    playground.add_group(GROUP, "Films", &[1]);
    let say = |text: &str| playground.write(1, GROUP, text, None).unwrap();
    say("good morning");
    say("and now @kadr_bot please");
    let mentioned = heard(&playground, &client).await;
    assert_eq!(mentioned.len(), 1);
    let mention = json!([{ "type": "mention", "offset": 8, "length": 9 }]);
    assert_eq!(mentioned[0]["entities"], mention);
    playground.promote(GROUP, playground.bot_id());
    say("good evening");
    assert_eq!(heard(&playground, &client).await[0]["text"], "good evening");
    playground.kick(GROUP, true);
    let sent = call(
        &playground,
        &client,
        "sendMessage",
        json!({ "chat_id": GROUP, "text": "a" }),
    )
    .await;
    assert_eq!(
        sent["description"],
        "Forbidden: bot was kicked from the supergroup chat"
    );
}

#[tokio::test]
async fn a_group_knows_its_owner_its_admins_and_who_is_no_member() {
    let (playground, client, _folder) = start().await;
    for (id, name) in [(2, "Борис"), (3, "Chen"), (4, "Dora")] {
        playground.add_user(id, name, "en");
    }
    playground.add_group(GROUP, "Films", &[1, 2, 3]);
    playground.promote(GROUP, 2);
    for (user, status) in [(1, "creator"), (2, "administrator"), (3, "member"), (4, "left")] {
        let asked = json!({ "chat_id": GROUP, "user_id": user });
        let member = call(&playground, &client, "getChatMember", asked).await;
        assert_eq!(member["result"]["status"], status, "{user}");
    }
    let unknown = call(
        &playground,
        &client,
        "getChatMember",
        json!({ "chat_id": GROUP, "user_id": 9 }),
    )
    .await;
    assert_eq!(unknown["description"], "Bad Request: invalid user_id specified");
    let admins = call(
        &playground,
        &client,
        "getChatAdministrators",
        json!({ "chat_id": GROUP }),
    )
    .await;
    let ids: Vec<i64> = admins["result"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["user"]["id"].as_i64().unwrap())
        .collect();
    assert_eq!(ids, [1, 2]);
    let private = call(&playground, &client, "getChatAdministrators", json!({ "chat_id": 1 })).await;
    assert_eq!(
        private["description"],
        "Bad Request: there are no administrators in the private chat"
    );
}

#[tokio::test]
async fn in_a_group_only_an_admin_bot_deletes_what_others_wrote() {
    let (playground, client, _folder) = start().await;
    playground.add_group(GROUP, "Films", &[1]);
    let message = playground.write(1, GROUP, "hello", None).unwrap();
    let delete = || {
        call(
            &playground,
            &client,
            "deleteMessage",
            json!({ "chat_id": GROUP, "message_id": message }),
        )
    };
    assert_eq!(delete().await["description"], "Bad Request: message can't be deleted");
    playground.promote(GROUP, playground.bot_id());
    assert_eq!(delete().await["result"], true);
    assert_eq!(
        delete().await["description"],
        "Bad Request: message to delete not found"
    );
}

#[tokio::test]
async fn an_answer_stays_in_its_topic_and_an_edit_too() {
    let (playground, client, _folder) = start().await;
    playground.add_group(GROUP, "Films", &[1]);
    playground.add_topic(GROUP, 7, "Holidays");
    let asked = playground.write_in_topic(1, GROUP, 7, "/convert", None).unwrap();
    let update = heard(&playground, &client).await.remove(0);
    assert_eq!(
        (&update["message_thread_id"], &update["is_topic_message"]),
        (&7.into(), &true.into())
    );
    assert_eq!(update["chat"]["is_forum"], true);
    let root = &update["reply_to_message"];
    assert_eq!(
        root["forum_topic_created"]["name"], "Holidays",
        "a message in a topic answers the topic's first"
    );
    let answer = json!({ "chat_id": GROUP, "text": "a", "reply_parameters": { "message_id": asked } });
    let sent = call(&playground, &client, "sendMessage", answer).await;
    assert_eq!(sent["result"]["message_thread_id"], 7);
    let edit = json!({ "chat_id": GROUP, "text": "b", "message_id": sent["result"]["message_id"] });
    let edited = call(&playground, &client, "editMessageText", edit).await;
    assert_eq!(edited["result"]["message_thread_id"], 7);
    let lost = json!({ "chat_id": GROUP, "text": "a", "message_thread_id": 8 });
    let lost = call(&playground, &client, "sendMessage", lost).await;
    assert_eq!(lost["description"], "Bad Request: message thread not found");
}

#[tokio::test]
async fn people_send_albums_as_messages_of_one_group_with_the_caption_under_the_first() {
    let (playground, client, _folder) = start().await;
    let other = clip("p.jpg", "-f lavfi -i color=c=red:s=320x180:d=1 -frames:v 1");
    let paths = [shipped_clip(), other];
    let paths: Vec<&std::path::Path> = paths.iter().map(std::path::PathBuf::as_path).collect();
    playground.send_album(1, 1, &paths, SendAs::Document, "fit 25").unwrap();
    playground.send_file(1, &shipped_clip(), SendAs::Document).unwrap();
    let messages = heard(&playground, &client).await;
    let groups: Vec<&Value> = messages.iter().map(|message| &message["media_group_id"]).collect();
    assert!(
        groups[0].is_string() && groups[0] == groups[1] && groups[2].is_null(),
        "{groups:?}"
    );
    assert_eq!(
        (&messages[0]["caption"], &messages[1]["caption"]),
        (&"fit 25".into(), &Value::Null)
    );
}

#[tokio::test]
async fn plain_words_show_their_commands_mentions_and_links_in_utf16() {
    let (playground, client, _folder) = start().await;
    for (text, expected) in [
        ("/start", json!([["bot_command", 0, 6]])),
        ("Да 🎬 /queue@kadr_bot.", json!([["bot_command", 6, 15]])),
        ("a/b me@example", Value::Null),
        ("@ab", Value::Null),
        ("see https://example.org/a, ok", json!([["url", 4, 21]])),
    ] {
        playground.send_text(1, text);
        let message = heard(&playground, &client).await.remove(0);
        let entities: Value = message["entities"].as_array().map_or(Value::Null, |all| {
            all.iter()
                .map(|one| json!([one["type"], one["offset"], one["length"]]))
                .collect()
        });
        assert_eq!(entities, expected, "{text}");
    }
    let html = json!({ "chat_id": 1, "text": "<code>/a</code> or /b", "parse_mode": "HTML" });
    let sent = call(&playground, &client, "sendMessage", html).await;
    let entities = sent["result"]["entities"].as_array().unwrap().len();
    assert_eq!(entities, 2, "what is code is no command: {sent}");
}

#[tokio::test]
async fn commands_are_checked_and_kept_by_scope_and_language() {
    let (playground, client, _folder) = start().await;
    let set = |command: &str, description: &str, language: &str| {
        let commands = json!([{ "command": command, "description": description }]);
        call(
            &playground,
            &client,
            "setMyCommands",
            json!({ "commands": commands, "language_code": language }),
        )
    };
    assert_eq!(set("start", "Begin", "").await["result"], true);
    assert_eq!(set("start", "Начать", "ru").await["result"], true);
    let russian = call(&playground, &client, "getMyCommands", json!({ "language_code": "ru" })).await;
    assert_eq!(russian["result"][0]["description"], "Начать");
    let english = call(&playground, &client, "getMyCommands", json!({})).await;
    assert_eq!(english["result"][0]["description"], "Begin");
    assert_eq!(
        set("Start", "Begin", "").await["description"],
        "Bad Request: BOT_COMMAND_INVALID"
    );
    let wordless = set("start", "", "").await;
    assert_eq!(wordless["description"], "Bad Request: BOT_COMMAND_DESCRIPTION_INVALID");
}

#[tokio::test]
async fn an_unknown_chat_action_and_captions_over_1024_are_refused() {
    let (playground, client, _folder) = start().await;
    let act = json!({ "chat_id": 1, "action": "dancing" });
    let refused = call(&playground, &client, "sendChatAction", act).await;
    assert_eq!(refused["description"], "Bad Request: wrong parameter action in request");
    playground.send_file(1, &shipped_clip(), SendAs::Video).unwrap();
    let file = playground.chat(1)[0].file.clone().unwrap();
    let caption = |length: usize| json!({ "chat_id": 1, "video": file, "caption": "я".repeat(length) });
    assert_eq!(call(&playground, &client, "sendVideo", caption(1024)).await["ok"], true);
    let long = call(&playground, &client, "sendVideo", caption(1025)).await;
    assert_eq!(long["description"], "Bad Request: message caption is too long");
}

/// Statuses of so many sends, one right after the other.
async fn burst(playground: &Playground, client: &reqwest::Client, chat: i64, count: usize) -> Vec<Value> {
    let mut answers = Vec::new();
    for at in 0..count {
        let body = json!({ "chat_id": chat, "text": at.to_string() });
        answers.push(call(playground, client, "sendMessage", body).await);
    }
    answers
}

#[tokio::test]
async fn a_storm_of_messages_is_refused_at_the_real_rates_once_they_are_on() {
    let (playground, client, _folder) = start().await;
    playground.add_group(GROUP, "Films", &[1]);
    playground.add_user(2, "Борис", "ru");
    let refused = |answers: &[Value]| answers.iter().filter(|one| one["error_code"] == 429).count();
    assert_eq!(refused(&burst(&playground, &client, 1, 40).await), 0, "off at first");
    playground.set_rates(true);
    let private = burst(&playground, &client, 1, 40).await;
    assert_eq!(refused(&private[..5]), 0, "a burst of five goes through");
    let first = private
        .iter()
        .find(|one| one["error_code"] == 429)
        .expect("no 40 at once");
    assert_eq!(first["parameters"]["retry_after"], 1);
    let id = &private[0]["result"]["message_id"];
    let mut edits = Vec::new();
    for at in 0..40 {
        let edit = json!({ "chat_id": 1, "message_id": id, "text": format!("edit {at}") });
        edits.push(call(&playground, &client, "editMessageText", edit).await);
    }
    assert!(refused(&edits) > 0, "edits share the limit");
    let other = burst(&playground, &client, 2, 1).await;
    assert_eq!(other[0]["ok"], true, "another chat has its own");
    tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
    assert_eq!(
        refused(&burst(&playground, &client, 1, 1).await),
        0,
        "as told, a second later"
    );

    tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
    let group = burst(&playground, &client, GROUP, 22).await;
    assert_eq!(refused(&group), 2, "20 a minute in a group");
    let after = group[21]["parameters"]["retry_after"].as_u64().unwrap();
    assert!((50..=60).contains(&after), "{after}");
    let query = json!({ "callback_query_id": "none" });
    let answered = call(&playground, &client, "answerCallbackQuery", query).await;
    assert_eq!(answered["error_code"], 400, "answers to buttons are not limited");
    let url = format!("{}/bot{}/sendMessage", playground.api_url(), playground.token());
    let flood = client
        .post(url)
        .json(&json!({ "chat_id": GROUP, "text": "a" }))
        .send()
        .await
        .unwrap();
    assert!(flood.headers().contains_key("retry-after"));
}

#[tokio::test]
async fn the_page_needs_nothing_from_elsewhere() {
    let (playground, client, _folder) = start().await;
    let page = playground.page_url();
    let index = client.get(&page).send().await.unwrap();
    let policy = index.headers()["content-security-policy"].to_str().unwrap().to_owned();
    assert!(
        policy.starts_with("default-src 'self'") && !policy.contains("unsafe"),
        "{policy}"
    );
    let mut parts = vec![index.text().await.unwrap()];
    for name in [
        "main.js",
        "chat.js",
        "compose.js",
        "media.js",
        "words.js",
        "style.css",
        "media.css",
    ] {
        let part = client.get(format!("{page}page/{name}")).send().await.unwrap();
        assert_eq!(part.status(), 200, "{name}");
        parts.push(part.text().await.unwrap());
    }
    let own = "http://www.w3.org/2000/svg";
    for text in parts {
        let text = text.replace(own, "");
        assert!(
            !text.contains("http://") && !text.contains("https://") && !text.contains("@import"),
            "{text}"
        );
    }
    assert_eq!(
        client.get(format!("{page}page/page.rs")).send().await.unwrap().status(),
        404
    );
}
