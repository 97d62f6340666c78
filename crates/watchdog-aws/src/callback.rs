//! The answer to CloudFormation: one `PUT` to the URL that came with its request.

use std::time::Duration;

use aws_smithy_http_client::Connector;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use aws_smithy_runtime_api::client::http::HttpConnector;
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_types::body::SdkBody;
use http::Uri;

/// Tries of one answer. CloudFormation waits, and an answer that is given twice is the same.
const TRIES: u32 = 3;
/// Pause before another try.
const PAUSE: Duration = Duration::from_secs(1);
/// Time for one try: all of them and the pauses end well before the function does.
const ATTEMPT: Duration = Duration::from_secs(8);

/// Why CloudFormation was not answered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallbackError {
    /// The URL leads somewhere else than to AWS. Whoever may invoke the function must not make it call anybody.
    #[error("the `ResponseURL` leads to `{0}`: only `https` to a host of AWS is answered")]
    ForeignHost(String),
    /// It could not be reached, or refused.
    #[error("CloudFormation could not be answered: {0}; its stack waits until the resource's `ServiceTimeout`")]
    Failed(String),
}

/// Puts `body` to `url`. `endpoint` is the endpoint that stands for all of AWS, where one is set: its host counts as AWS's.
///
/// # Errors
/// [`CallbackError`].
pub async fn put(url: &str, body: String, endpoint: Option<&str>) -> Result<(), CallbackError> {
    let foreign = || CallbackError::ForeignHost(url.chars().take(80).filter(|c| !c.is_control()).collect());
    let uri: Uri = url.parse().map_err(|_| foreign())?;
    if !is_aws(&uri, endpoint) {
        return Err(foreign());
    }
    let connector = Connector::builder().tls_provider(Provider::Rustls(CryptoMode::Ring)).build();
    let mut tries = 1;
    loop {
        let failure = match tokio::time::timeout(ATTEMPT, once(&connector, url, &body)).await {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(why)) => why,
            Err(_) => "no answer in time".to_owned(),
        };
        if tries == TRIES {
            return Err(CallbackError::Failed(failure));
        }
        tries += 1;
        tokio::time::sleep(PAUSE).await;
    }
}

async fn once(connector: &Connector, url: &str, body: &str) -> Result<(), String> {
    let mut request = HttpRequest::new(SdkBody::from(body));
    request.set_method("PUT").map_err(|error| error.to_string())?;
    request.set_uri(url).map_err(|error| error.to_string())?;
    // Without a content type: the URL was signed for a request that has none.
    let answer = connector.call(request).await.map_err(|error| error.to_string())?;
    match answer.status() {
        status if status.is_success() => Ok(()),
        status => Err(format!("it answered with status {}", status.as_u16())),
    }
}

fn is_aws(uri: &Uri, endpoint: Option<&str>) -> bool {
    let host = uri.host().unwrap_or_default();
    let aws = [".amazonaws.com", ".amazonaws.com.cn"];
    if uri.scheme_str() == Some("https") && aws.iter().any(|suffix| host.ends_with(suffix)) {
        return true;
    }
    // A local AWS may call itself `localhost` or by its address.
    let Some(endpoint) = endpoint.and_then(|endpoint| endpoint.parse::<Uri>().ok()) else { return false };
    let local = |host: Option<&str>| matches!(host, Some("localhost" | "127.0.0.1" | "[::1]"));
    let same_host = endpoint.host() == uri.host() || (local(endpoint.host()) && local(uri.host()));
    same_host && endpoint.port_u16() == uri.port_u16() && endpoint.scheme() == uri.scheme()
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Read, Write};
    use std::net::TcpListener;

    use super::*;

    #[track_caller]
    fn check(url: &str, endpoint: Option<&str>, expected: bool) {
        assert_eq!(is_aws(&url.parse().unwrap(), endpoint), expected, "{url}");
    }

    #[test]
    fn only_aws_is_answered() {
        check("https://cloudformation-custom-resource-response-euwest1.s3.eu-west-1.amazonaws.com/a?b=c", None, true);
        check("https://cloudformation-custom-resource-response-cnnorth1.s3.cn-north-1.amazonaws.com.cn/a", None, true);
        check("http://bucket.s3.amazonaws.com/a", None, false);
        check("https://amazonaws.com.example.com/a", None, false);
        check("https://example.com/.amazonaws.com", None, false);
        check("https://user@evil.example/x.amazonaws.com", None, false);
        check("http://localhost:4566/a", None, false);
        check("http://localhost:4566/a", Some("http://127.0.0.1:4566"), true);
        check("http://localhost:80/a", Some("http://127.0.0.1:4566"), false);
        check("http://10.0.0.1:4566/a", Some("http://127.0.0.1:4566"), false);
    }

    /// Answers as many requests as there are statuses, and returns what it was sent.
    fn server(statuses: &'static [u16]) -> (String, std::thread::JoinHandle<Vec<String>>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let served = std::thread::spawn(move || {
            let serve = |status: &u16| {
                let (mut stream, _) = listener.accept().unwrap();
                let mut reader = BufReader::new(stream.try_clone().unwrap());
                let mut head = String::new();
                while !head.ends_with("\r\n\r\n") {
                    reader.read_line(&mut head).unwrap();
                }
                let lower = head.to_ascii_lowercase();
                let length = lower.lines().find_map(|line| line.strip_prefix("content-length: "));
                let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
                reader.read_exact(&mut body).unwrap();
                write!(stream, "HTTP/1.1 {status} X\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").unwrap();
                head + &String::from_utf8(body).unwrap()
            };
            statuses.iter().map(serve).collect()
        });
        (endpoint, served)
    }

    #[tokio::test]
    async fn the_answer_is_put_again_until_it_is_taken() {
        let (endpoint, served) = server(&[503, 200]);
        put(&format!("{endpoint}/answer"), "{\"a\":1}".to_owned(), Some(&endpoint)).await.unwrap();
        let requests = served.join().unwrap();
        assert_eq!(requests.len(), 2);
        for request in requests {
            assert!(request.starts_with("PUT /answer HTTP/1.1"), "{request}");
            assert!(request.ends_with("\r\n\r\n{\"a\":1}"), "{request}");
            assert!(!request.to_ascii_lowercase().contains("content-type"), "{request}");
        }
    }

    #[tokio::test]
    async fn a_refusal_and_a_foreign_host_are_named() {
        let (endpoint, _served) = server(&[403, 403, 403]);
        let error = put(&format!("{endpoint}/answer"), String::new(), Some(&endpoint)).await.unwrap_err();
        assert_eq!(error, CallbackError::Failed("it answered with status 403".to_owned()));
        let error = put("https://example.com/x", String::new(), None).await.unwrap_err();
        assert_eq!(error, CallbackError::ForeignHost("https://example.com/x".to_owned()));
    }
}
