//! The client that ships, over a socket that breaks: what is read is read again, and a mail is sent once.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_config::BehaviorVersion;
use aws_sdk_ssm::config::{Credentials, Region};
use watchdog_aws::clients::{Clients, config};
use watchdog_aws::{ses, ssm};
use watchdog_core::policy::Address;

/// What happens to one request.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Mishap {
    /// The connection is reset, and nothing was read.
    ResetBefore,
    /// It was read to its end, and the connection is closed without an answer.
    ClosedAfter,
    /// It was read, and the answer ends in the middle.
    Half,
    /// It was read, and what comes is no HTTP.
    Garbage,
}

const ALL: [Mishap; 4] = [Mishap::ResetBefore, Mishap::ClosedAfter, Mishap::Half, Mishap::Garbage];

const DOCUMENTS: &str = r#"{"Parameters":[{"Name":"/policy/a","Type":"String","Value":"x = 1"}]}"#;
const SENT: &str = "<SendRawEmailResponse xmlns=\"http://ses.amazonaws.com/doc/2010-12-01/\"><SendRawEmailResult>\
    <MessageId>m-1</MessageId></SendRawEmailResult></SendRawEmailResponse>";

/// A server to whose requests this happens, one after the other; then all is well. Counts connections and the requests that it has read.
fn server(mishaps: &[Mishap], body: &'static str) -> (String, Arc<[AtomicUsize; 2]>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let counts = Arc::new([AtomicUsize::new(0), AtomicUsize::new(0)]);
    let (counted, mishaps) = (Arc::clone(&counts), Arc::new(Mutex::new(VecDeque::from(mishaps.to_vec()))));
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            counted[0].fetch_add(1, Ordering::SeqCst);
            let (counted, mishaps) = (Arc::clone(&counted), Arc::clone(&mishaps));
            std::thread::spawn(move || while serve(stream.as_ref().unwrap(), &counted[1], &mishaps, body) {});
        }
    });
    (endpoint, counts)
}

/// One request; returns whether there may be another on this connection.
fn serve(mut stream: &TcpStream, read: &AtomicUsize, mishaps: &Mutex<VecDeque<Mishap>>, body: &str) -> bool {
    let mut first = [0];
    if !matches!(stream.peek(&mut first), Ok(1)) {
        return false;
    }
    let mishap = mishaps.lock().unwrap().pop_front();
    if mishap == Some(Mishap::ResetBefore) {
        // Closed with something unread in it, a socket is reset.
        std::thread::sleep(Duration::from_millis(20));
        let _ = stream.shutdown(std::net::Shutdown::Both);
        return false;
    }
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).unwrap_or(0) == 0 {
            return false;
        }
    }
    let length = head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
    reader.read_exact(&mut vec![0; length.unwrap_or(0)]).unwrap();
    read.fetch_add(1, Ordering::SeqCst);
    let whole = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    let answer = match mishap {
        Some(Mishap::ClosedAfter) => "",
        Some(Mishap::Half) => &whole[..whole.len() - body.len() / 2],
        Some(Mishap::Garbage) => "\0\u{1}\u{2} this is no answer\r\n\r\n",
        _ => &whole,
    };
    let _ = stream.write_all(answer.as_bytes());
    if mishap.is_some() {
        let _ = stream.shutdown(std::net::Shutdown::Both);
    }
    mishap.is_none()
}

async fn clients(endpoint: String) -> Clients {
    let credentials = Credentials::new("AKIAIOSFODNN7EXAMPLE", "secret", None, None, "test");
    let loader = aws_config::defaults(BehaviorVersion::v2026_01_12()).region(Region::new("eu-central-1"));
    Clients::new(&config(loader.endpoint_url(endpoint).credentials_provider(credentials)).await)
}

#[tokio::test]
async fn what_is_read_is_read_again_over_another_connection() {
    for mishap in ALL {
        let (endpoint, counts) = server(&[mishap], DOCUMENTS);
        let clients = clients(endpoint).await;
        let mut found = ssm::documents(&clients.ssm, "/policy").await;
        // What is no HTTP at all the SDK does not ask for again: the call has failed, and the next one is on a connection of its own.
        if mishap == Mishap::Garbage {
            let failure = found.expect_err("that was no answer");
            assert_eq!((failure.code.as_str(), failure.is_out_of_reach()), ("Unreachable", true), "{failure}");
            found = ssm::documents(&clients.ssm, "/policy").await;
        }
        let found = found.unwrap_or_else(|failure| panic!("{mishap:?}: {failure}"));
        assert_eq!(found.iter().map(|document| document.text.as_str()).collect::<Vec<_>>(), ["x = 1"], "{mishap:?}");
        assert_eq!(counts[0].load(Ordering::SeqCst), 2, "{mishap:?}");
    }
}

#[tokio::test]
async fn a_mail_whose_answer_is_lost_is_not_sent_again() {
    let (from, to) = (Address::parse("w@example.com").unwrap(), Address::parse("ann@example.com").unwrap());
    for mishap in ALL {
        let (endpoint, counts) = server(&[mishap], SENT);
        let clients = clients(endpoint).await;
        let send = || ses::send(&clients.ses, &from, &to, b"x".to_vec());
        let failure = send().await.expect_err("nobody said that it was sent");
        assert!(failure.to_string().starts_with("`ses:SendRawEmail` failed"), "{mishap:?}: {failure}");
        let read = usize::from(mishap != Mishap::ResetBefore);
        assert_eq!(counts[1].load(Ordering::SeqCst), read, "{mishap:?}");
        assert_eq!(counts[0].load(Ordering::SeqCst), 1, "{mishap:?}");
        // The next one is on a connection of its own, and arrives.
        assert_eq!(send().await.unwrap(), "m-1", "{mishap:?}");
        assert_eq!(counts[1].load(Ordering::SeqCst), read + 1, "{mishap:?}");
    }
}
