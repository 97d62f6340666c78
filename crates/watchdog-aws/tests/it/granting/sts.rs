//! An STS that checks signatures as AWS does: it signs what it was sent with the credentials that it knows, and compares.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use aws_config::{BehaviorVersion, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SignatureLocation, SigningSettings, sign};
use aws_sigv4::sign::v4;
use jiff::Timestamp;

/// Access keys that are known, their secrets, and whose they are.
const KNOWN: [(&str, &str, &str, &str); 3] = [
    ("AKADMIN", "secret-admin", "123456789012", "assumed-role/admin/ann"),
    ("AKFOREIGN", "secret-foreign", "999999999999", "assumed-role/admin/ann"),
    ("AKINTERN", "secret-intern", "123456789012", "user/intern"),
];

pub struct Sts {
    pub endpoint: String,
    asked: Arc<AtomicUsize>,
}

/// The configuration of somebody's tool; `forged` has the admin's key and not their secret.
pub fn config(endpoint: &str, who: &str) -> SdkConfig {
    let key = if who == "forged" { "AKADMIN".to_owned() } else { format!("AK{}", who.to_uppercase()) };
    let credentials = Credentials::new(key, format!("secret-{who}"), None, None, "test");
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .region(aws_config::Region::new("eu-central-1"))
        .endpoint_url(endpoint)
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .build()
}

impl Sts {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(AtomicUsize::new(0));
        let (own, count) = (endpoint.clone(), asked.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                count.fetch_add(1, Ordering::SeqCst);
                answer(stream.unwrap(), &own);
            }
        });
        Self { endpoint, asked }
    }

    pub fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

fn answer(mut stream: TcpStream, endpoint: &str) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        reader.read_line(&mut head).unwrap();
    }
    let target = head.split(' ').nth(1).unwrap();
    let header = head.lines().find_map(|line| line.strip_prefix("x-watchdog-request: ")).unwrap_or_default();
    let (status, body) = match identity(endpoint, target, header) {
        Some((account, resource)) => {
            let service = if resource.starts_with("user") { "iam" } else { "sts" };
            let arn = format!("arn:aws:{service}::{account}:{resource}");
            (
                200,
                format!(
                    "<GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><GetCallerIdentityResult>\
                <Arn>{arn}</Arn><UserId>X</UserId><Account>{account}</Account></GetCallerIdentityResult></GetCallerIdentityResponse>"
                ),
            )
        }
        None => (403, "<ErrorResponse><Error><Code>SignatureDoesNotMatch</Code></Error></ErrorResponse>".to_owned()),
    };
    let length = body.len();
    write!(stream, "HTTP/1.1 {status} X\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}").unwrap();
}

/// Whose signature this is, where it is one.
fn identity(endpoint: &str, target: &str, header: &str) -> Option<(&'static str, &'static str)> {
    let query = target.strip_prefix("/?")?;
    let get = |name: &str| query.split('&').find_map(|part| part.strip_prefix(name)?.strip_prefix('='));
    let key = get("X-Amz-Credential")?.split("%2F").next()?;
    let (_, secret, account, resource) = KNOWN.iter().find(|(known, ..)| *known == key)?;
    let stamp = get("X-Amz-Date")?;
    let at: Timestamp = format!(
        "{}-{}-{}T{}:{}:{}Z",
        &stamp[..4],
        &stamp[4..6],
        &stamp[6..8],
        &stamp[9..11],
        &stamp[11..13],
        &stamp[13..15]
    )
    .parse()
    .ok()?;
    let mut settings = SigningSettings::default();
    settings.signature_location = SignatureLocation::QueryParams;
    settings.expires_in = Some(Duration::from_secs(get("X-Amz-Expires")?.parse().ok()?));
    let identity = Credentials::new(key, *secret, None, None, "sts").into();
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(at.as_second().unsigned_abs());
    let params = v4::SigningParams::builder().identity(&identity).region("eu-central-1").name("sts").time(time);
    let params = params.settings(settings).build().unwrap();
    let url = format!("{endpoint}/?Action={}&Version={}", get("Action")?, get("Version")?);
    // The header as it came: whoever sends another one than was signed has no signature.
    let headers = [("x-watchdog-request", header)];
    let request = SignableRequest::new("GET", url.as_str(), headers.into_iter(), SignableBody::Bytes(&[])).ok()?;
    let (_, signature) = sign(request, &params.into()).ok()?.into_parts();
    (get("X-Amz-Signature")? == signature).then_some((*account, *resource))
}
