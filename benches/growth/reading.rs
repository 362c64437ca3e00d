//! The questions of auditors, as `daypass ledger list` and `daypass ledger export` ask them.

use std::{
    fs::File,
    io::{BufWriter, Write},
    path::Path,
    time::{Duration, Instant},
};

use daypass::proto::v1::{
    ExportRequest, Filter, ListRequest, ListResponse, ledger_client::LedgerClient,
};
use time::OffsetDateTime;

use crate::support::{
    api::{Api, with_token},
    https,
    server::ServerFiles,
};

/// Answers of which the median is printed.
const REPEATS: usize = 5;

/// Events of a page, the number that `daypass ledger list` asks for.
const PAGE: u32 = 50;

/// Waits until the search index has every event.
pub async fn index_is_built(served: &ServerFiles) {
    let deadline = Instant::now() + Duration::from_secs(4 * 3600);
    let client = https::client(served.tls_ca());
    loop {
        let metrics = client.get(format!("{}/metrics", served.url())).send().await;
        let metrics = metrics.unwrap().text().await.unwrap();
        let value = |name| metrics.lines().find_map(|line| line.strip_prefix(name));
        let indexed = value("daypass_search_indexed_events ");
        if indexed.is_some() && indexed == value("daypass_ledger_size ") {
            return;
        }
        assert!(Instant::now() < deadline, "the index is not built");
        // The gauges are measured once in a second.
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// The times of a whole answer to each question, in ms.
pub async fn questions(api: &Api, auditor: &str) -> Vec<f64> {
    let now = u64::try_from(OffsetDateTime::now_utc().unix_timestamp()).unwrap();
    let yesterday = (now - 26 * 3600, now - 2 * 3600);
    let asked = [
        Filter {
            host: "group3".to_owned(),
            valid_from: yesterday.0,
            valid_to: yesterday.1,
            ..Filter::default()
        },
        Filter {
            unreviewed: true,
            ..Filter::default()
        },
        Filter {
            who: "user1234@example.com".to_owned(),
            ..Filter::default()
        },
        of_kind("policy_loaded"),
    ];
    let mut times = Vec::new();
    for filter in asked {
        let mut some = Vec::new();
        for _ in 0..REPEATS {
            let begun = Instant::now();
            page(api, auditor, &filter).await;
            some.push(begun.elapsed().as_secs_f64() * 1e3);
        }
        some.sort_by(f64::total_cmp);
        times.push(some[REPEATS / 2]);
    }
    times
}

fn of_kind(kind: &str) -> Filter {
    Filter {
        kinds: vec![kind.to_owned()],
        ..Filter::default()
    }
}

/// Asks until the first page is full or the search is complete.
async fn page(api: &Api, auditor: &str, filter: &Filter) {
    let (mut from, mut found) = (u64::MAX - 1, 0);
    while found < PAGE as usize {
        let answer = list(api, auditor, filter, from).await.unwrap();
        found += answer.events.len();
        match answer.searched_from.unwrap() {
            0 => break,
            searched => from = searched - 1,
        }
    }
}

async fn list(
    api: &Api,
    auditor: &str,
    filter: &Filter,
    from: u64,
) -> Result<ListResponse, tonic::Status> {
    let request = ListRequest {
        from,
        limit: PAGE,
        newest_first: true,
        filter: Some(filter.clone()),
    };
    let answer = LedgerClient::new(api.channel())
        .list(with_token(request, auditor))
        .await;
    Ok(answer?.into_inner())
}

/// Writes an export into this file.
pub async fn export(api: &Api, auditor: &str, file: &Path) {
    let request = with_token(ExportRequest {}, auditor);
    let answer = LedgerClient::new(api.channel()).export(request).await;
    let mut chunks = answer.unwrap().into_inner();
    let mut file = BufWriter::new(File::create(file).unwrap());
    while let Some(chunk) = chunks.message().await.unwrap() {
        file.write_all(&chunk.chunk).unwrap();
    }
    file.flush().unwrap();
}
