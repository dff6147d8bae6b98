//! The stand-in itself: it must be as strict as the real server.

use std::time::Duration;

use kadr::playground::{Options, Playground};
use serde_json::{Value, json};

async fn start() -> (Playground, reqwest::Client, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let options = Options {
        port: 0,
        data_dir: folder.path().to_owned(),
    };
    let playground = Playground::start(options).await.unwrap();
    playground.add_user(1, "Anna", "en");
    (playground, reqwest::Client::new(), folder)
}

async fn call(playground: &Playground, client: &reqwest::Client, method: &str, body: Value) -> Value {
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
