//! Where the store of a test lies: a file in its folder or, where `KADR_TEST_POSTGRES` names a server (`ci/postgres`), tables of
//! its own there. So the same promises are tried on both.

use std::path::Path;

use kadr::store::{Database, Journal};
use sqlx::any::AnyConnectOptions;
use sqlx::{AnyConnection, ConnectOptions, Connection};

/// The server, where one is named.
fn server() -> Option<String> {
    std::env::var("KADR_TEST_POSTGRES").ok().filter(|url| !url.is_empty())
}

/// Whether the store of this test is a file.
pub(crate) fn is_file() -> bool {
    server().is_none()
}

/// The database of a test's folder.
pub(crate) fn database(folder: &Path) -> Database {
    match server() {
        None => Database::Sqlite(folder.join("kadr.db")),
        Some(url) => Database::Postgres {
            url: format!("{url}?options=-csearch_path%3D{}", schema(folder)),
            place: folder.join("place"),
        },
    }
}

/// A name that only this folder has.
fn schema(folder: &Path) -> String {
    let name = folder.to_string_lossy();
    let letters = name.chars().filter(char::is_ascii_alphanumeric);
    format!("t{}", letters.collect::<String>().to_ascii_lowercase())
}

async fn connect(url: &str) -> AnyConnection {
    sqlx::any::install_default_drivers();
    url.parse::<AnyConnectOptions>().unwrap().connect().await.unwrap()
}

/// Opens the store of a folder.
pub(crate) async fn open(folder: &Path) -> Journal {
    if let Some(url) = server() {
        let mut connection = connect(&url).await;
        // Names differ by case alone now and then, and two tests may come at the same moment.
        let make = format!("CREATE SCHEMA IF NOT EXISTS {}", schema(folder));
        let _ = sqlx::raw_sql(sqlx::AssertSqlSafe(make)).execute(&mut connection).await;
        connection.close().await.unwrap();
    }
    Journal::open(&database(folder)).await.unwrap()
}

/// Makes the tables of a folder as new, or gives a folder of its own: thousands of tables would only slow a server down.
pub(crate) async fn empty(folder: tempfile::TempDir) -> tempfile::TempDir {
    if is_file() {
        return tempfile::tempdir().unwrap();
    }
    let tables = [
        "jobs",
        "boots",
        "inbox",
        "results",
        "quarantine",
        "suspects",
        "days",
        "drain",
        "looks",
        "questions",
        "handed",
    ];
    let sql = tables.map(|table| format!("DELETE FROM {table};")).concat();
    write(folder.path(), &sql).await;
    folder
}

/// Writes to the database of a folder beside its store.
pub(crate) async fn write(folder: &Path, sql: &str) {
    let mut connection = match database(folder) {
        Database::Sqlite(path) => connect(&format!("sqlite://{}", path.display())).await,
        Database::Postgres { url, .. } => connect(&url).await,
    };
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql.to_owned()))
        .execute(&mut connection)
        .await
        .unwrap();
    connection.close().await.unwrap();
}
