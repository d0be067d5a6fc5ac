//! An API server of canned answers, for tests: real HTTP, no logic.

use std::sync::{Arc, Mutex, PoisonError};

use kube::{Client, Config};
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
};

/// A request as it came in.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) method: String,
    /// Path and query.
    pub(crate) path: String,
    pub(crate) body: Value,
}

/// What a request is answered with.
pub(crate) enum Answer {
    /// A whole document.
    Json(u16, Value),
    /// Events of a watch, after which the connection stays open, or is ended if so told.
    Watch { events: Vec<Value>, end: bool },
}

type Handler = Box<dyn FnMut(&Request) -> Answer + Send>;

#[derive(Clone)]
pub(crate) struct Fake {
    port: u16,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl Fake {
    /// Serves until the runtime ends.
    pub(crate) async fn start(handler: impl FnMut(&Request) -> Answer + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let fake = Self { port: listener.local_addr().unwrap().port(), requests: Arc::default() };
        let handler: Arc<Mutex<Handler>> = Arc::new(Mutex::new(Box::new(handler)));
        let requests = fake.requests.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, handler.clone(), requests.clone()));
            }
        });
        fake
    }

    pub(crate) fn client(&self) -> Client {
        let mut config = Config::new(format!("http://127.0.0.1:{}", self.port).parse().unwrap());
        config.default_retry = false;
        Client::try_from(config).unwrap()
    }

    /// All requests so far, which are forgotten.
    pub(crate) fn take(&self) -> Vec<Request> {
        std::mem::take(&mut *self.requests.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The answer of an API server that refuses.
pub(crate) fn refused(code: u16, message: &str) -> Answer {
    let status = serde_json::json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": message, "reason": "Refused", "code": code});
    Answer::Json(code, status)
}

async fn serve(stream: TcpStream, handler: Arc<Mutex<Handler>>, requests: Arc<Mutex<Vec<Request>>>) {
    let mut stream = BufReader::new(stream);
    while let Some(request) = read(&mut stream).await {
        requests.lock().unwrap_or_else(PoisonError::into_inner).push(request.clone());
        let answer = (handler.lock().unwrap_or_else(PoisonError::into_inner))(&request);
        match answer {
            Answer::Json(code, body) => {
                let body = body.to_string();
                let head = format!(
                    "HTTP/1.1 {code} X\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
                    body.len()
                );
                stream.write_all(head.as_bytes()).await.unwrap();
            }
            Answer::Watch { events, end } => {
                let body: String = events.iter().map(|event| format!("{event}\n")).collect();
                let head = "HTTP/1.1 200 X\r\ncontent-type: application/json\r\nconnection: close\r\n\r\n";
                stream.write_all((head.to_string() + &body).as_bytes()).await.unwrap();
                if !end {
                    let _ = stream.read(&mut [0]).await;
                }
                return;
            }
        }
    }
}

async fn read(stream: &mut BufReader<TcpStream>) -> Option<Request> {
    let mut line = String::new();
    stream.read_line(&mut line).await.ok()?;
    let mut words = line.split(' ').map(ToString::to_string);
    let (method, path) = (words.next()?, words.next()?);
    let mut length = 0;
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await.ok()?;
        let line = line.trim_end().to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    Some(Request { method, path, body: serde_json::from_slice(&body).unwrap_or_default() })
}
