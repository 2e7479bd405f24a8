use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Mutex;

use super::*;

/// A server that answers each connection with `answer`, and keeps what it was asked.
fn server(
    answer: impl Fn(&mut TcpStream) + Send + 'static,
) -> (SocketAddr, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let asked = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&asked);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let lines = BufReader::new(&stream).lines().map_while(std::result::Result::ok);
            let head: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
            seen.lock().unwrap().push(head.join("\n"));
            answer(&mut stream);
        }
    });
    (address, asked)
}

fn text(answer: &'static str) -> impl Fn(&mut TcpStream) + Send + 'static {
    move |stream| {
        let _gone = stream.write_all(answer.as_bytes());
    }
}

fn outgoing(url: &str, timeout: Duration) -> Outgoing {
    Outgoing {
        method: Method::GET,
        target: WebTarget::parse(url).unwrap(),
        headers: HeaderMap::new(),
        body: Bytes::new(),
        timeout,
    }
}

const LONG: Duration = Duration::from_secs(20);

/// What looking up every name gives, and how often it was asked.
fn leading_to(addresses: Vec<SocketAddr>) -> (Box<Lookup>, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let lookup: Box<Lookup> = Box::new(move |_host, port| {
        count.fetch_add(1, Ordering::Relaxed);
        let addresses = addresses.iter().map(|it| SocketAddr::new(it.ip(), port)).collect();
        Box::pin(std::future::ready(Ok(addresses)))
    });
    (lookup, asked)
}

fn nothing(address: IpAddr) -> Result<()> {
    Err(Error::new(Code::Denied, format!("not {address}")))
}

#[tokio::test]
async fn a_name_that_leads_to_the_machine_itself_reaches_nothing() {
    let (address, asked) = server(text("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"));
    let port = address.port();
    let traffic = Traffic::default();
    for near in ["127.0.0.1", "::1", "::ffff:127.0.0.1", "169.254.169.254", "0.0.0.0"] {
        let (lookup, count) = leading_to(vec![SocketAddr::new(near.parse().unwrap(), 0)]);
        let url = format!("http://innocent.example:{port}/");
        let error = traffic.exchange(outgoing(&url, LONG), &lookup, &nothing).await.unwrap_err();
        assert_eq!((error.code(), error.message()), (Code::Denied, &*format!("not {}", near)));
        assert_eq!(count.load(Ordering::Relaxed), 1, "asked once");
    }
    for literal in ["127.0.0.1", "[::1]", "[::ffff:7f00:1]", "0x7f000001", "2130706433", "0"] {
        let url = format!("http://{literal}:{port}/");
        let (lookup, count) = leading_to(vec![address]);
        let error = traffic.exchange(outgoing(&url, LONG), &lookup, &nothing).await.unwrap_err();
        assert_eq!(error.code(), Code::Denied, "{literal}");
        assert_eq!(count.load(Ordering::Relaxed), 0, "an address is no name");
    }
    assert!(asked.lock().unwrap().is_empty());
    // Of several addresses those remain that it may reach.
    let target = WebTarget::parse("http://both.example/").unwrap();
    let both = ["127.0.0.1:0", "10.0.0.1:0"].map(|it| it.parse().unwrap());
    let (lookup, _) = leading_to(both.to_vec());
    let checked = addresses(&target, &lookup, &nothing);
    assert_eq!(checked.await.unwrap(), ["10.0.0.1:80".parse().unwrap()]);
}

#[tokio::test]
async fn the_connection_goes_to_the_address_that_was_checked() {
    let (address, asked) =
        server(text("HTTP/1.1 404 Not Found\r\ncontent-length: 2\r\nx-a: 1\r\nx-a: 2\r\n\r\nhi"));
    let (lookup, count) = leading_to(vec![address]);
    let url = format!("http://innocent.example:{}/path?q=1", address.port());
    let mut outgoing = outgoing(&url, LONG);
    outgoing.headers.append("x-mine", "yes".parse().unwrap());
    let answer = Traffic::default().exchange(outgoing, &lookup, &|_| Ok(())).await.unwrap();
    assert_eq!((answer.status, &answer.body[..]), (404, &b"hi"[..]));
    assert_eq!(answer.headers.get_all("x-a").iter().count(), 2);
    assert_eq!(count.load(Ordering::Relaxed), 1, "asked once");
    let asked = asked.lock().unwrap();
    let head = asked[0].to_ascii_lowercase();
    assert!(head.starts_with("get /path?q=1 http/1.1\n"), "{head}");
    assert!(head.contains("x-mine: yes") && head.contains("host: innocent.example:"), "{head}");
    assert!(!head.contains("referer") && !head.contains("authorization"), "{head}");
}

#[tokio::test]
async fn a_redirect_is_an_answer() {
    let (address, asked) = server(text(
        "HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n",
    ));
    let (lookup, _) = leading_to(vec![address]);
    let url = format!("http://innocent.example:{}/", address.port());
    let answer =
        Traffic::default().exchange(outgoing(&url, LONG), &lookup, &|_| Ok(())).await.unwrap();
    assert_eq!(answer.status, 302);
    assert_eq!(asked.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn answers_without_end_have_one() {
    let endless = |stream: &mut TcpStream| {
        let _gone = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
        while stream.write_all(&[b'x'; 1 << 16]).is_ok() {}
    };
    let headers = |stream: &mut TcpStream| {
        let _gone = stream.write_all(b"HTTP/1.1 200 OK\r\n");
        while stream.write_all(format!("x-a: {}\r\n", "y".repeat(8000)).as_bytes()).is_ok() {}
    };
    let silent = |stream: &mut TcpStream| {
        let _gone = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nab");
        std::mem::forget(stream.try_clone().unwrap());
    };
    let garbage = text("SSH-2.0-OpenSSH\r\n");
    let many = |stream: &mut TcpStream| {
        let _gone = stream.write_all(b"HTTP/1.1 200 OK\r\n");
        for it in 0..90 {
            let _gone = stream.write_all(format!("x-{it}: {}\r\n", "y".repeat(900)).as_bytes());
        }
        let _gone = stream.write_all(b"content-length: 0\r\n\r\n");
    };
    let short = Duration::from_millis(300);
    for ((address, _asked), timeout, code, word) in [
        (server(endless), LONG, Code::Limit, "more than 8.0 MiB of content"),
        (server(headers), LONG, Code::Unreachable, ""),
        (server(many), LONG, Code::Limit, "more than 64 KiB of headers"),
        (server(silent), short, Code::Timeout, "did not answer within 300 ms"),
        (server(garbage), LONG, Code::Unreachable, "does not answer"),
    ] {
        let (lookup, _) = leading_to(vec![address]);
        let url = format!("http://a.example:{}/SECRET", address.port());
        let error = Traffic::default()
            .exchange(outgoing(&url, timeout), &lookup, &|_| Ok(()))
            .await
            .unwrap_err();
        assert_eq!(error.code(), code, "{error:?}");
        assert!(error.one_line().contains(word), "{error:?}");
        assert!(!error.one_line().contains("SECRET"), "{error:?}");
    }
}

#[tokio::test]
async fn the_requests_of_a_call_are_counted() {
    let (address, asked) = server(text("HTTP/1.1 204 No Content\r\n\r\n"));
    let (lookup, _) = leading_to(vec![address]);
    let url = format!("http://a.example:{}/", address.port());
    let traffic = Traffic::default();
    for _ in 0..HTTP_REQUESTS {
        // A clone is of the same call.
        traffic.clone().exchange(outgoing(&url, LONG), &lookup, &|_| Ok(())).await.unwrap();
    }
    let error = traffic.exchange(outgoing(&url, LONG), &lookup, &|_| Ok(())).await.unwrap_err();
    assert_eq!(error.code(), Code::Limit);
    assert_eq!(asked.lock().unwrap().len(), HTTP_REQUESTS);
}

#[tokio::test]
async fn all_answers_of_a_call_have_a_limit_together() {
    let (address, _asked) = server(|stream| {
        let _gone = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 7000000\r\n\r\n");
        let _gone = stream.write_all(&vec![b'x'; 7_000_000]);
    });
    let (lookup, _) = leading_to(vec![address]);
    let url = format!("http://a.example:{}/", address.port());
    let traffic = Traffic::default();
    for _ in 0..HTTP_ANSWERS / 7_000_000 {
        traffic.exchange(outgoing(&url, LONG), &lookup, &|_| Ok(())).await.unwrap();
    }
    let error = traffic.exchange(outgoing(&url, LONG), &lookup, &|_| Ok(())).await.unwrap_err();
    assert_eq!(error.code(), Code::Limit);
    assert!(error.message().contains("64 MiB"), "{error:?}");
}
