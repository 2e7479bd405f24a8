//! A server on loopback that remembers what it was asked.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// It ends with the test.
pub(crate) struct Server {
    pub(crate) port: u16,
    /// What it was asked: the head and the content.
    asked: Arc<Mutex<Vec<String>>>,
}

impl Server {
    /// One that answers a request, of which the head is in lower case, by these means.
    pub(crate) fn new(answer: impl Fn(&str, &mut TcpStream) + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&asked);
        std::thread::spawn(move || {
            for mut stream in listener.incoming().map_while(Result::ok) {
                let mut reader = BufReader::new(stream.try_clone().unwrap());
                let (mut request, mut length) = (String::new(), 0);
                loop {
                    let mut line = String::new();
                    if reader.read_line(&mut line).is_err() || line.trim().is_empty() {
                        break;
                    }
                    let lower = line.to_ascii_lowercase();
                    if let Some(value) = lower.strip_prefix("content-length:") {
                        length = value.trim().parse().unwrap();
                    }
                    request.push_str(&lower);
                }
                let mut content = vec![0; length];
                let _cut = reader.read_exact(&mut content);
                request.push_str(&String::from_utf8_lossy(&content));
                seen.lock().unwrap().push(request.clone());
                answer(&request, &mut stream);
            }
        });
        Self { port, asked }
    }

    pub(crate) fn saying(answer: String) -> Self {
        Self::new(move |_request, stream| {
            let _gone = stream.write_all(answer.as_bytes());
        })
    }

    /// One that has a status, a type and a content for each path.
    pub(crate) fn of_paths(
        content: impl Fn(&str) -> (&'static str, &'static str, Vec<u8>) + Send + 'static,
    ) -> Self {
        Self::new(move |request, stream| {
            let path = request.split(' ').nth(1).unwrap_or_default();
            let (status, kind, content) = content(path);
            let length = content.len();
            let head = format!(
                "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
            );
            let _gone = stream.write_all(head.as_bytes());
            let _gone = stream.write_all(&content);
        })
    }

    pub(crate) fn fine() -> Self {
        Self::saying("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello".to_owned())
    }

    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}
