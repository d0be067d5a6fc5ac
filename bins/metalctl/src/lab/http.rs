//! A page fetched over HTTP/1.1.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    str::FromStr,
    time::Duration,
};

use super::{report::Fetch, responder::SERVED_BY};

/// How long a connection, and each read from it, may take.
const PATIENCE: Duration = Duration::from_secs(4);

/// More than this is not read of any answer.
const MOST: u64 = 4 << 20;

/// Fetches `/` from the network namespace of the calling thread.
pub(crate) fn fetch(address: SocketAddr) -> Fetch {
    let url = url(address);
    match get(address, "/") {
        Ok(answer) => Fetch { url, status: answer.status, served_by: answer.served_by },
        Err(_) => Fetch { url, status: None, served_by: None },
    }
}

/// Where a page is, as people write it.
fn url(address: SocketAddr) -> String {
    let all = address.to_string();
    format!("http://{}/", all.strip_suffix(":80").unwrap_or(&all))
}

/// Whether a daemon says that it is ready; otherwise what it waits for.
pub(crate) fn ready(address: SocketAddr) -> Result<(), String> {
    match get(address, "/readyz") {
        Ok(Answer { status: Some(200), .. }) => Ok(()),
        Ok(answer) => Err(answer.body.trim().to_owned()),
        Err(error) => Err(format!("{address}: {error}")),
    }
}

/// How many other speakers a speaker hears on a link.
pub(crate) fn members(address: SocketAddr, link: &str) -> Result<usize, String> {
    let answer = get(address, "/metrics").map_err(|error| format!("{address}: {error}"))?;
    metric(&answer.body, "metal_speaker_members", &format!("interface=\"{link}\""))
        .ok_or_else(|| format!("it does not take part on {link}"))
}

/// The value of the first series of a metric that has a label.
fn metric<T: FromStr>(text: &str, name: &str, label: &str) -> Option<T> {
    let series = text.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix('{')?.split_once("} "));
    series
        .into_iter()
        .find(|(labels, _)| labels.split(',').any(|other| other == label))?
        .1
        .trim()
        .parse()
        .ok()
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Answer {
    status: Option<u16>,
    served_by: Option<String>,
    body: String,
}

fn get(address: SocketAddr, path: &str) -> io::Result<Answer> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: {address}\r\nUser-Agent: metalctl\r\nConnection: close\r\n\r\n"
    )?;
    let mut answer = Vec::new();
    stream.take(MOST).read_to_end(&mut answer)?;
    Ok(parse(&String::from_utf8_lossy(&answer)))
}

fn parse(text: &str) -> Answer {
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((text, ""));
    let mut lines = head.lines();
    let status =
        lines.next().filter(|line| line.starts_with("HTTP/1.")).and_then(|line| line.split(' ').nth(1));
    let served_by = lines
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case(SERVED_BY))
        .map(|(_, value)| value.trim().to_owned());
    Answer { status: status.and_then(|status| status.parse().ok()), served_by, body: body.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_header_and_body() {
        let answer = parse("HTTP/1.1 200 OK\r\nContent-Length: 3\r\nX-Served-By: node2\r\n\r\nhey");
        let expected = Answer { status: Some(200), served_by: Some("node2".into()), body: "hey".into() };
        assert_eq!(answer, expected);
        assert_eq!(parse("HTTP/1.1 503 Service Unavailable\r\n\r\nnot ready: x\n").status, Some(503));
    }

    #[test]
    fn the_usual_port_is_left_out() {
        let url = |text: &str| url(text.parse().unwrap());
        assert_eq!(url("192.168.42.200:80"), "http://192.168.42.200/");
        assert_eq!(url("192.168.42.200:8080"), "http://192.168.42.200:8080/");
        assert_eq!(url("[fd00:42::200]:80"), "http://[fd00:42::200]/");
        assert_eq!(url("[fd00:42::80]:8080"), "http://[fd00:42::80]:8080/");
    }

    #[test]
    fn a_metric_is_found_by_its_label() {
        let text = "# TYPE metal_speaker_members gauge\n\
            metal_speaker_members_total{interface=\"eth0\"} 9\n\
            metal_speaker_members{interface=\"eth1\",node=\"a\"} 1\n\
            metal_speaker_members{node=\"a\",interface=\"eth0\"} 2\n";
        assert_eq!(metric(text, "metal_speaker_members", "interface=\"eth0\""), Some(2));
        assert_eq!(metric::<usize>(text, "metal_speaker_members", "interface=\"eth2\""), None);
    }

    #[test]
    fn nonsense_has_no_status() {
        for text in ["", "SSH-2.0-OpenSSH\r\n", "HTTP/1.1", "HTTP/1.1 abc\r\n\r\n"] {
            assert_eq!(parse(text).status, None, "{text:?}");
        }
    }
}
