//! As much of an HTTP server as the SDK's clients and the Lambda runtime need: a thread per kept-alive connection, bodies with a length.

use std::io::{BufRead, BufReader, Error, ErrorKind, Read, Result, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// A request, read to its end.
pub struct Request {
    pub path: String,
    /// The value of `X-Amz-Target`, where there is one.
    pub target: Option<String>,
    pub body: Vec<u8>,
    /// When the last byte of it was there.
    pub read: Instant,
}

/// An answer. It leaves `delay` after the request was read, or as soon as it is made where that took longer.
pub struct Response {
    pub status: u16,
    /// Header lines, each with its line end.
    pub headers: String,
    pub body: Vec<u8>,
    pub delay: Duration,
}

/// Serves on a port of its own for as long as this process lives. `sent` hears when an answer is on its way.
pub fn serve<H, S>(handle: H, sent: S) -> Result<SocketAddr>
where
    H: Fn(&Request) -> Option<Response> + Send + Sync + 'static,
    S: Fn(&Request, Instant) + Send + Sync + 'static,
{
    accept(move |stream| connection(stream, &handle, &sent))
}

/// The same over TLS. A handshake begins after `delay`: what two machines that are not one would need for its round trips. `shaken` hears from
/// when to when each took.
pub fn serve_tls<H, S, K>(
    tls: Arc<ServerConfig>,
    delay: impl Fn() -> Duration + Send + Sync + 'static,
    handle: H,
    sent: S,
    shaken: K,
) -> Result<SocketAddr>
where
    H: Fn(&Request) -> Option<Response> + Send + Sync + 'static,
    S: Fn(&Request, Instant) + Send + Sync + 'static,
    K: Fn(Instant, Instant) + Send + Sync + 'static,
{
    accept(move |mut stream: TcpStream| {
        let start = Instant::now();
        std::thread::sleep(delay());
        let mut session = ServerConnection::new(Arc::clone(&tls)).map_err(Error::other)?;
        while session.is_handshaking() {
            session.complete_io(&mut stream)?;
        }
        shaken(start, Instant::now());
        connection(StreamOwned::new(session, stream), &handle, &sent)
    })
}

fn accept(serve: impl Fn(TcpStream) -> Result<()> + Send + Sync + 'static) -> Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let serve = Arc::new(serve);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let serve = Arc::clone(&serve);
            // A client that goes away is no error of anybody's.
            std::thread::spawn(move || drop(stream.set_nodelay(true).and_then(|()| serve(stream))));
        }
    });
    Ok(address)
}

fn connection(
    stream: impl Read + Write,
    handle: &impl Fn(&Request) -> Option<Response>,
    sent: &impl Fn(&Request, Instant),
) -> Result<()> {
    let mut stream = BufReader::new(stream);
    while let Some(request) = read(&mut stream)? {
        let Some(response) = handle(&request) else { return Ok(()) };
        let Response { status, headers, body, delay } = response;
        let mut bytes = format!("HTTP/1.1 {status} -\r\nContent-Length: {}\r\n{headers}\r\n", body.len()).into_bytes();
        bytes.extend(body);
        std::thread::sleep(delay.saturating_sub(request.read.elapsed()));
        // Before the bytes leave, or the next request might be here before this answer is noted.
        sent(&request, Instant::now());
        stream.get_mut().write_all(&bytes)?;
        stream.get_mut().flush()?;
    }
    Ok(())
}

fn read(reader: &mut impl BufRead) -> Result<Option<Request>> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
    let (mut length, mut target) = (0, None);
    loop {
        line.clear();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.trim().parse().map_err(|e| Error::new(ErrorKind::InvalidData, e))?,
            "x-amz-target" => target = Some(value.trim().to_owned()),
            "transfer-encoding" => return Err(Error::new(ErrorKind::InvalidData, "a body without a length")),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    Ok(Some(Request { path, target, body, read: Instant::now() }))
}
