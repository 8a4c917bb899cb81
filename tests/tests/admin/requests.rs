//! Requests at random, from a seed: sound ones, odd ones and broken ones.

use fastrand::Rng;

use super::TOKEN;

/// What was made up, and what it may do.
#[derive(Debug)]
pub(super) struct Attack {
    pub(super) bytes: Vec<u8>,
    pub(super) delivery: Delivery,
    /// Whether the exact token stands in a header for it. Nobody else may change anything.
    pub(super) has_token: bool,
    /// What a sound request changes: the verb and the body.
    pub(super) sound: Option<(&'static str, Vec<u8>)>,
}

/// How the bytes are sent. After them a client says that nothing more comes, unless it is a sound one or is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Delivery {
    /// At once.
    Whole,
    /// In pieces.
    Pieces,
    /// Half of them.
    Half,
    /// Half of them, and then the client is gone.
    Abandoned,
    /// All or half of them; then the client waits until it is put out.
    Held,
}

const VERBS: [&str; 5] = ["pause", "resume", "skip", "log", "score"];
const PAGES: [&str; 9] = [
    "", "live", "ready", "metrics", "status", "drift", "samples", "page.js", "page.css",
];
const METHODS: [&str; 14] = [
    "GET", "POST", "POST", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "CONNECT", "TRACE", "PATCH", "post", "PRI", "",
];

/// One part in so many is odd.
const ODD: u8 = 8;

/// Who is among those that send requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Crowd {
    /// Nobody knows the token.
    Strangers,
    /// Some do, and not all of them write sound requests.
    Mixed,
}

/// The attack of this number.
pub(super) fn attack(seed: u64, crowd: Crowd) -> Attack {
    let mut rng = Rng::with_seed(seed);
    match rng.u8(0..10) {
        0 if crowd == Crowd::Mixed => sound(&mut rng, seed),
        1 => Attack {
            bytes: noise(&mut rng, 2000),
            delivery: delivery(&mut rng),
            has_token: false,
            sound: None,
        },
        _ => odd(&mut rng, crowd),
    }
}

/// A request as it should be.
fn sound(rng: &mut Rng, seed: u64) -> Attack {
    let verb = VERBS[rng.usize(0..VERBS.len())];
    let body = format!("sound {seed}").into_bytes();
    let head = format!(
        "POST /{verb} HTTP/1.1\r\nHost: eddy\r\nAuthorization: Bearer {TOKEN}\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    Attack {
        bytes: [head.as_bytes(), &body].concat(),
        delivery: if rng.bool() { Delivery::Whole } else { Delivery::Pieces },
        has_token: true,
        sound: Some((verb, body)),
    }
}

/// One that may be anything, often with a near miss of the token, seldom with the token itself.
fn odd(rng: &mut Rng, crowd: Crowd) -> Attack {
    let is_broken = rng.u8(0..4) == 0;
    let has_token = rng.u8(0..20) == 0 && crowd == Crowd::Mixed;
    let mut bytes = Vec::new();
    for _ in 0..[1, 1, 1, 1, 2, 3][rng.usize(0..6)] {
        let authorization = match (has_token, is_broken) {
            (true, _) => format!("Authorization: Bearer {TOKEN}").into_bytes(),
            (false, false) => near_miss(rng),
            // What is broken at random could mend a near miss.
            (false, true) => format!("Authorization: Bearer {}", "a".repeat(rng.usize(0..12_000))).into_bytes(),
        };
        request(rng, authorization, &mut bytes);
    }
    if is_broken {
        break_up(rng, &mut bytes);
    }
    Attack {
        bytes,
        delivery: delivery(rng),
        has_token,
        sound: None,
    }
}

fn delivery(rng: &mut Rng) -> Delivery {
    match rng.u8(0..100) {
        0..2 => Delivery::Held,
        2..10 => Delivery::Abandoned,
        10..20 => Delivery::Half,
        20..50 => Delivery::Pieces,
        _ => Delivery::Whole,
    }
}

/// Each part is as it should be, or, one time in `ODD`, anything else: what is odd all over is refused for its first oddity.
fn request(rng: &mut Rng, authorization: Vec<u8>, into: &mut Vec<u8>) {
    let [end, method, version, place, size, more] = std::array::from_fn(|_| rng.u8(0..ODD) == 0);
    let end = if end { ["\n", "\r"][rng.usize(0..2)] } else { "\r\n" };
    let method = if method {
        METHODS[rng.usize(0..METHODS.len())]
    } else {
        "POST"
    };
    let versions = ["HTTP/1.0", "HTTP/2.0", "HTTP/0.9", "HTTP/1.1 ", ""];
    let version = if version {
        versions[rng.usize(0..versions.len())]
    } else {
        "HTTP/1.1"
    };
    let verb = VERBS[rng.usize(0..VERBS.len())];
    let place = if place { target(rng, verb) } else { format!("/{verb}") };
    into.extend(format!("{method} {place} {version}{end}").bytes());
    let mut body = match rng.u8(0..8) {
        0 => noise(rng, 20_000),
        1 => vec![b'x'; rng.usize(0..200_000)],
        2..5 => br#"{"record":"events/0/17","level":"trace"}"#.to_vec(),
        _ => Vec::new(),
    };
    let mut lines = vec![b"Host: eddy".to_vec(), authorization];
    match size {
        true => framing(rng, &mut lines, &mut body),
        false => lines.push(format!("Content-Length: {}", body.len()).into_bytes()),
    }
    if more {
        lines.extend((0..rng.usize(1..4)).map(|_| header(rng)));
        rng.shuffle(&mut lines);
        lines.truncate(lines.len() - rng.usize(0..2));
    }
    for line in lines {
        into.extend(line);
        into.extend(end.bytes());
    }
    into.extend(end.bytes());
    into.extend(body);
}

fn target(rng: &mut Rng, verb: &str) -> String {
    match rng.u8(0..11) {
        0 => format!("/{verb}?token={TOKEN}"),
        1 => format!("//{verb}"),
        2 => format!("/{verb}/"),
        3 => format!("/%{:02x}{}", verb.as_bytes()[0], &verb[1..]),
        4 => format!("http://eddy/{verb}"),
        5 => format!("/live/../{verb}"),
        6 => "*".into(),
        7 => format!("/{}", "a/".repeat(rng.usize(0..6000))),
        8 => String::from_utf8_lossy(&noise(rng, 40)).into_owned(),
        _ => format!("/{}", PAGES[rng.usize(0..PAGES.len())]),
    }
}

/// A line that is not quite the one that opens.
fn near_miss(rng: &mut Rng) -> Vec<u8> {
    // A further space before it would be none of the token.
    let cut = rng.usize(1..TOKEN.len());
    let mut flipped = TOKEN.as_bytes().to_vec();
    flipped[cut] ^= 1 << rng.u8(0..7);
    let flipped = String::from_utf8_lossy(&flipped).into_owned();
    let wrong = match rng.u8(0..19) {
        0 => String::new(),
        1 => TOKEN[..cut].to_owned(),
        2 => format!("{TOKEN}{}", rng.alphanumeric()),
        3 => format!("{}{TOKEN}", rng.alphanumeric()),
        4 => flipped,
        5 => TOKEN.to_uppercase(),
        6 => format!("{} {}", &TOKEN[..cut], &TOKEN[cut..]),
        7 => format!("{TOKEN},{TOKEN}"),
        8 => format!("\"{TOKEN}\""),
        9 => "a".repeat(rng.usize(0..12_000)),
        10 => return format!("Authorization: Basic {TOKEN}").into_bytes(),
        11 => return format!("Authorization: {TOKEN}").into_bytes(),
        12 => return format!("X-Authorization: Bearer {TOKEN}").into_bytes(),
        13 => return format!("Cookie: token={TOKEN}").into_bytes(),
        14 => return format!("Proxy-Authorization: Bearer {TOKEN}").into_bytes(),
        // The first one counts.
        15 => return format!("Authorization: Bearer wrong\r\nAuthorization: Bearer {TOKEN}").into_bytes(),
        17 => return format!("Authorization: Bearer\r\n {TOKEN}").into_bytes(),
        16 => return format!("Authorization : Bearer {TOKEN}").into_bytes(),
        _ => return Vec::from(*b"Authorization: Bearer \xff\xfe\x00"),
    };
    format!("Authorization: Bearer {wrong}").into_bytes()
}

/// How long the body is said to be, and by whom.
fn framing(rng: &mut Rng, lines: &mut Vec<Vec<u8>>, body: &mut Vec<u8>) {
    let length = body.len();
    let mut say = |text: String| lines.push(text.into_bytes());
    match rng.u8(0..10) {
        0 => say(format!("Content-Length: {}", length + rng.usize(1..1000))),
        1 => say(format!("Content-Length: {}", length / 2)),
        2 => {
            let odd = ["-1", "+5", "0x10", "5, 5", "", "18446744073709551616", "9e9"];
            say(format!("Content-Length: {}", odd[rng.usize(0..odd.len())]));
        }
        3 => {
            say(format!("Content-Length: {length}"));
            say(format!("Content-Length: {}", rng.usize(0..100)));
        }
        4 => {
            say(format!("Content-Length: {length}"));
            say("Transfer-Encoding: chunked".into());
            *body = chunked(rng, body);
        }
        5..8 => {
            let coding = [
                "chunked",
                "chunked",
                "Chunked",
                "gzip, chunked",
                "chunked, gzip",
                "xchunked",
                "identity",
            ];
            say(format!("Transfer-Encoding: {}", coding[rng.usize(0..coding.len())]));
            *body = chunked(rng, body);
        }
        8 => say("Expect: 100-continue".into()),
        _ => {}
    }
}

/// A body in chunks, some of which lie about their size.
fn chunked(rng: &mut Rng, body: &[u8]) -> Vec<u8> {
    let mut chunks = Vec::new();
    for chunk in body.chunks(rng.usize(1..=5000)) {
        let size = match rng.u8(0..30) {
            0 => "ffffffffffffffff".into(),
            1 => "-1".into(),
            2 => format!("{:x};{}", chunk.len(), "e".repeat(rng.usize(0..20_000))),
            _ => format!("{:x}", chunk.len()),
        };
        chunks.extend(format!("{size}\r\n").bytes());
        chunks.extend(chunk);
        chunks.extend(b"\r\n");
    }
    if rng.bool() {
        chunks.extend(b"0\r\nTrailer: x\r\n\r\n");
    } else {
        chunks.extend(b"0\r\n\r\n");
    }
    chunks
}

fn header(rng: &mut Rng) -> Vec<u8> {
    match rng.u8(0..14) {
        0 => format!("X-Long: {}", "a".repeat(rng.usize(0..40_000))).into_bytes(),
        1 => "X: y\r\n".repeat(rng.usize(1..150)).trim_end().as_bytes().to_vec(),
        2 => b"X-Folded: a\r\n b\r\n\tc".to_vec(),
        3 => b"no colon".to_vec(),
        4 => b": no name".to_vec(),
        5 => Vec::from(*b"X-Control: \x00\x01\x7f"),
        6 => b"Connection: keep-alive, Upgrade".to_vec(),
        7 => b"Upgrade: h2c".to_vec(),
        8 => b"Host: another".to_vec(),
        9 => b"Content-Type: application/json".to_vec(),
        10 => b"Origin: http://evil.example".to_vec(),
        11 => b"Range: bytes=0-0,1-1,2-2".to_vec(),
        12 => [b"X-Noise: ".to_vec(), noise(rng, 60)].concat(),
        _ => b"TE: trailers".to_vec(),
    }
}

/// Flips, takes away and doubles a few bytes.
pub(super) fn break_up(rng: &mut Rng, bytes: &mut Vec<u8>) {
    for _ in 0..rng.usize(1..=4) {
        if bytes.is_empty() {
            return;
        }
        let at = rng.usize(0..bytes.len().min(600));
        match rng.u8(0..3) {
            0 => bytes[at] ^= 1 << rng.u8(0..8),
            1 => drop(bytes.remove(at)),
            _ => bytes.insert(at, rng.u8(..)),
        }
    }
}

fn noise(rng: &mut Rng, most: usize) -> Vec<u8> {
    let length = rng.usize(0..most);
    std::iter::repeat_with(|| rng.u8(..)).take(length).collect()
}
