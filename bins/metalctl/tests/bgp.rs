//! `metalctl bgp` as scripts and people use it: the shapes of its JSON, its tree, its exit codes.

use std::{
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use serde_json::{Value as Json, json};

/// One /32 with a path of one hop and two communities, from a session with four-octet AS numbers.
const ONE_PREFIX: &str = concat!(
    "ffffffffffffffffffffffffffffffff003b02",
    "0000001f",
    "40010100",
    "40020602010000fde9",
    "400304c0000201",
    "c00808fde90064fde900c8",
    "200a000001"
);
const KEEPALIVE: &str = "ffffffffffffffffffffffffffffffff001304";

struct Outcome {
    code: Option<i32>,
    out: String,
    err: String,
}

/// Runs `metalctl bgp` with this standard input.
fn bgp(arguments: &str, input: impl AsRef<[u8]>) -> Outcome {
    let mut child = Command::new(env!("CARGO_BIN_EXE_metalctl"))
        .arg("bgp")
        .args(arguments.split_whitespace())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.as_ref().to_vec();
    // Written from the side: the program may answer before it has read everything, or not read at all.
    let writer = std::thread::spawn(move || drop(stdin.write_all(&input)));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    Outcome {
        code: output.status.code(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

fn decode(arguments: &str, input: impl AsRef<[u8]>) -> (Option<i32>, Vec<Json>) {
    let outcome = bgp(&format!("decode --output json {arguments}"), input);
    (outcome.code, outcome.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
}

fn one(arguments: &str, input: &str) -> Json {
    let (_, mut objects) = decode(arguments, input);
    assert_eq!(objects.len(), 1, "{input}");
    objects.remove(0)
}

/// What `encode` writes for this object.
fn encode(arguments: &str, object: &Json) -> String {
    let outcome = bgp(&format!("encode {arguments}"), object.to_string());
    assert_eq!(outcome.code, Some(0), "{object}: {}", outcome.err);
    outcome.out.trim_end().into()
}

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

fn captures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../metal-bgp/tests/captures")
}

/// A message around this body.
fn message(kind: u8, body: &str) -> String {
    format!("{}{:04x}{kind:02x}{body}", "f".repeat(32), 19 + body.len() / 2)
}

#[test]
fn an_update_is_one_object() {
    let outcome = bgp("decode --four-octet-as --output json", ONE_PREFIX);
    assert_eq!((outcome.code, outcome.err.as_str()), (Some(0), ""));
    // As text, because the order of the fields is part of what people read.
    assert!(
        outcome.out.starts_with(r#"{"ok":true,"type":"UPDATE","length":59,"withdrawn":[],"attributes":["#)
    );
    assert!(
        outcome.out.ends_with("\"nlri\":[{\"prefix\":\"10.0.0.1/32\",\"path_id\":null}],\"findings\":[]}\n")
    );
    let object: Json = serde_json::from_str(&outcome.out).unwrap();
    assert_eq!(
        object["attributes"],
        json!([
            {"type": 1, "name": "ORIGIN", "flags": 0x40, "offset": 23, "value": "IGP", "hex": "00"},
            {"type": 2, "name": "AS_PATH", "flags": 0x40, "offset": 27,
             "value": [{"type": "AS_SEQUENCE", "asns": [65001]}], "hex": "02010000fde9"},
            {"type": 3, "name": "NEXT_HOP", "flags": 0x40, "offset": 36, "value": "192.0.2.1", "hex": "c0000201"},
            {"type": 8, "name": "COMMUNITIES", "flags": 0xc0, "offset": 43,
             "value": ["65001:100", "65001:200"], "hex": "fde90064fde900c8"},
        ])
    );
}

#[test]
fn the_tree_shows_offsets_octets_and_names() {
    let outcome = bgp("decode --four-octet-as", ONE_PREFIX);
    assert_eq!(outcome.code, Some(0));
    assert_eq!(outcome.out, include_str!("bgp/update.txt"));

    let refused = message(1, "045ba00001c00002010802064104fa56ea01");
    let outcome = bgp("decode", &refused);
    assert_eq!(outcome.code, Some(1));
    assert_eq!(outcome.out, include_str!("bgp/refused.txt"));
}

#[test]
fn every_capture_is_shown_as_a_tree() {
    for name in ["frr-gobgp", "exabgp-bird", "bird-two-octet"] {
        let outcome = bgp(&format!("decode {}", captures().join(name).with_extension("pcap").display()), "");
        assert_eq!((outcome.code, outcome.err.as_str()), (Some(0), ""), "{name}");
        let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bgp").join(name).with_extension("txt");
        let expected = std::fs::read_to_string(&golden).unwrap();
        // Equal texts are cheap to compare, unequal ones are read with a tool.
        assert!(
            outcome.out == expected,
            "{} is no longer what `metalctl bgp decode` prints",
            golden.display()
        );
    }
}

#[test]
fn one_line_one_object() {
    let input = format!(
        "# three messages\n{KEEPALIVE}\n\n{}\n{}\n",
        &KEEPALIVE[..20],
        KEEPALIVE.replace("f00", "e00")
    );
    let (code, objects) = decode("", &input);
    assert_eq!(code, Some(1));
    assert_eq!(objects[0], json!({"ok": true, "type": "KEEPALIVE", "length": 19}));
    assert_eq!(objects[1], json!({"ok": false, "incomplete": true, "need": 9}));
    assert_eq!(objects[2]["ok"], false);
    assert_eq!(objects[2]["notification"], json!({"code": 1, "subcode": 1, "data": ""}));
    assert_eq!(objects[2]["offset"], 15);
    assert_eq!(objects.len(), 3);

    let two = one("", &format!("{KEEPALIVE}{KEEPALIVE}"));
    assert_eq!((&two["length"], &two["trailing"]), (&json!(19), &json!(19)));
}

#[test]
fn errors_name_the_notification_and_the_octet() {
    // A total attribute length that runs over the end of the message.
    let object = one("", &message(2, "000000ff"));
    assert_eq!(object["ok"], false);
    assert_eq!(object["notification"], json!({"code": 3, "subcode": 1, "data": ""}));
    assert_eq!(object["offset"], 21);
    assert!(object["message"].as_str().unwrap().contains("255 octets of path attributes"));

    let long = KEEPALIVE.replace("001304", "00140400");
    let object = one("", &long);
    assert_eq!(object["notification"], json!({"code": 1, "subcode": 2, "data": "0014"}));
    assert_eq!(object["offset"], 16);

    let version = one("", &message(1, "050001005ac000020100"));
    assert_eq!(version["notification"], json!({"code": 2, "subcode": 1, "data": "0004"}));
}

#[test]
fn findings_are_no_error() {
    // An empty COMMUNITIES, and LOCAL_PREF from another AS.
    let body = "0000001c400101004002040201fde9400304c000020140050400000064c00800200a000001";
    let external = one("", &message(2, body));
    assert_eq!(external["ok"], true);
    let findings = external["findings"].as_array().unwrap();
    let short: Vec<_> =
        findings.iter().map(|one| (&one["attribute"], &one["disposition"], &one["offset"])).collect();
    let (discard, withdraw) = (json!("discard"), json!("withdraw"));
    assert_eq!(short, [(&json!(5), &discard, &json!(41)), (&json!(8), &withdraw, &json!(48))]);
    let internal = one("--ibgp", &message(2, body));
    assert_eq!(internal["findings"].as_array().unwrap().len(), 1);
}

#[test]
fn the_other_messages() {
    let open = message(1, "04fde9005ac00002010a0208020041040000fde9");
    let object = one("", &open);
    assert_eq!(
        object,
        json!({
            "ok": true, "type": "OPEN", "length": 39, "version": 4, "my_autonomous_system": 65001,
            "hold_time": 90, "bgp_identifier": "192.0.2.1",
            "capabilities": [
                {"code": 2, "name": "Route Refresh", "value": null, "hex": ""},
                {"code": 65, "name": "Four-octet AS Number", "value": 65001, "hex": "0000fde9"},
            ],
        })
    );
    assert_eq!(encode("", &object), open);

    let shutdown = message(3, "0602036f7574");
    let object = one("", &shutdown);
    assert_eq!(
        object,
        json!({
            "ok": true, "type": "NOTIFICATION", "length": 25, "error_code": 6, "error_subcode": 2,
            "name": "Cease: Administrative Shutdown", "data": "036f7574", "shutdown_communication": "out",
        })
    );
    assert_eq!(encode("", &object), shutdown);
    let written =
        json!({"type": "NOTIFICATION", "error_code": 6, "error_subcode": 2, "shutdown_communication": "out"});
    assert_eq!(encode("", &written), shutdown);

    let refresh = message(5, "00020101");
    let object = one("", &refresh);
    assert_eq!(
        object,
        json!({"ok": true, "type": "ROUTE-REFRESH", "length": 23, "afi": 2, "subtype": 1, "safi": 1})
    );
    assert_eq!(encode("", &object), refresh);
    assert_eq!(encode("", &json!({"type": "KEEPALIVE"})), KEEPALIVE);
}

#[test]
fn options_say_what_was_negotiated() {
    // Without four-octet AS numbers the path is none.
    assert_ne!(one("", ONE_PREFIX)["findings"], json!([]));
    let with_path = message(2, "00000012400101004002040201fde9400304c000020100000007200a000001");
    for option in ["--add-path", "--add-path=ipv4-unicast", "--add-path=ipv6-unicast,ipv4-unicast"] {
        let object = one(option, &with_path);
        assert_eq!(object["nlri"], json!([{"prefix": "10.0.0.1/32", "path_id": 7}]), "{option}");
        assert_eq!(encode(option, &object), with_path);
    }
    // Without, the identifier would be three default routes and the beginning of another prefix.
    let object = one("--add-path=ipv6-unicast", &with_path);
    assert_eq!((&object["notification"]["subcode"], &object["offset"]), (&json!(10), &json!(49)));
    let long = message(3, &format!("0101{}", "00".repeat(5_000)));
    assert_eq!(one("--extended-message", &long)["length"], 5_021);
    assert_eq!(one("", &long)["notification"], json!({"code": 1, "subcode": 2, "data": "139d"}));
}

#[test]
fn octets_may_come_as_a_stream() {
    let stream = bytes(&format!("{KEEPALIVE}{ONE_PREFIX}{}", &KEEPALIVE[..10]));
    let (code, objects) = decode("--four-octet-as", &stream);
    assert_eq!(code, Some(1));
    assert_eq!((&objects[0]["type"], &objects[1]["type"]), (&json!("KEEPALIVE"), &json!("UPDATE")));
    assert_eq!(objects[2], json!({"ok": false, "incomplete": true, "need": 14}));
}

#[test]
fn roundtrip_gives_the_canonical_form() {
    let outcome = bgp("roundtrip --four-octet-as", format!("{ONE_PREFIX}\n{KEEPALIVE}\n"));
    assert_eq!((outcome.code, outcome.out), (Some(0), format!("{ONE_PREFIX}\n{KEEPALIVE}\n")));
    // Communities the other way round and twice, an attribute header longer than needed, a bit behind the prefix.
    let odd = concat!(
        "00000024",
        "5001000100",
        "40020602010000fde9",
        "400304c0000201",
        "c0080cfde900c8fde90064fde900c8",
        "170a0001"
    );
    let odd = message(2, odd);
    let outcome = bgp("roundtrip --four-octet-as", &odd);
    assert_eq!(outcome.code, Some(0), "{}", outcome.err);
    assert_eq!(outcome.out.trim_end(), ONE_PREFIX.replace("003b", "003a").replace("200a000001", "170a0000"));
}

#[test]
fn what_decode_prints_encode_accepts() {
    for name in ["bird-two-octet", "exabgp-bird", "exabgp-gobgp", "frr-bird", "frr-gobgp", "frr-unnumbered"] {
        let file = captures().join(name).with_extension("pcap");
        let (code, objects) = decode(&file.display().to_string(), "");
        assert_eq!(code, Some(0), "{name}");
        let canonical = bgp(&format!("roundtrip {}", file.display()), "");
        let canonical: Vec<_> = canonical.out.lines().collect();
        assert_eq!(objects.len(), canonical.len(), "{name}");
        let four = if name == "bird-two-octet" { "" } else { "--four-octet-as" };
        // Those with path identifiers apart from those without, as sessions would.
        for paths in [false, true] {
            let chosen: Vec<_> =
                objects.iter().zip(&canonical).filter(|(object, _)| has_path_ids(object) == paths).collect();
            let input: String = chosen.iter().map(|(object, _)| format!("{object}\n")).collect();
            let outcome = bgp(&format!("encode {four} {}", if paths { "--add-path" } else { "" }), input);
            assert_eq!(outcome.code, Some(0), "{name}: {}", outcome.err);
            let expected: Vec<_> = chosen.iter().map(|(_, canonical)| **canonical).collect();
            assert_eq!(outcome.out.lines().collect::<Vec<_>>(), expected, "{name}");
        }
    }
}

fn has_path_ids(object: &Json) -> bool {
    match object {
        Json::Object(fields) => {
            fields.get("path_id").is_some_and(Json::is_number) || fields.values().any(has_path_ids)
        }
        Json::Array(items) => items.iter().any(has_path_ids),
        _ => false,
    }
}

#[test]
fn a_capture_says_who_spoke_and_what_was_negotiated() {
    let (_, objects) = decode(&captures().join("frr-bird.pcap").display().to_string(), "");
    assert_eq!(objects.len(), 65);
    assert_eq!(objects[0]["source"], "192.0.2.2:179");
    assert_eq!(objects[0]["connection"], 0);
    assert_eq!(objects[64]["connection"], 1);
    assert_eq!(objects[64]["shutdown_communication"], "Umbau im Rack B, zurück um 6");
    let update = objects.iter().find(|object| object["type"] == "UPDATE").unwrap();
    assert_eq!(update["nlri"], json!([{"prefix": "203.0.113.77/32", "path_id": 2}]));
    assert_eq!(update["attributes"][1]["value"][0]["asns"], json!([65002, 4200000099_u32, 65002]));
}

#[test]
fn input_that_cannot_be_used_has_its_own_exit_code() {
    for (arguments, input, why) in [
        ("decode", "xyz", "line 1 cannot be read"),
        ("decode", "ff\nfff", "line 2 cannot be read"),
        ("decode /no/such/file", "", "cannot read /no/such/file"),
        ("decode --input pcap", "no capture", "capture"),
        ("roundtrip", "zz", "no hexadecimal digit"),
        ("encode", "{", "object 1 is no JSON"),
        ("encode", "{}", "there is no \"type\""),
        ("encode", r#"{"type":"HELLO"}"#, "the type \"HELLO\" is unknown"),
        ("encode", r#"{"ok":false,"type":"UPDATE"}"#, "no message in it"),
        ("encode", r#"{"type":"UPDATE","nlri":[{"prefix":"10.0.0.0/33"}]}"#, "is not a prefix"),
        ("encode", r#"{"type":"UPDATE","attributes":[{"type":4,"value":"x"}]}"#, "MULTI_EXIT_DISC"),
        (
            "encode",
            r#"{"type":"OPEN","my_autonomous_system":0,"hold_time":9,"bgp_identifier":"192.0.2.1"}"#,
            "AS 0",
        ),
        ("decode --add-path=ipv5", "", "ipv5"),
    ] {
        let outcome = bgp(arguments, input);
        assert_eq!(outcome.code, Some(2), "{arguments} {input}: {}", outcome.err);
        assert_eq!(outcome.out, "", "{arguments} {input}");
        assert!(outcome.err.contains(why), "{arguments} {input}: {}", outcome.err);
    }
}

#[test]
fn nothing_is_no_trouble() {
    for command in ["decode", "decode --output json", "encode", "roundtrip"] {
        let outcome = bgp(command, "");
        assert_eq!(
            (outcome.code, outcome.out.as_str(), outcome.err.as_str()),
            (Some(0), "", ""),
            "{command}"
        );
    }
    let help = bgp("decode --help", "");
    assert!(help.out.contains("Exit codes:"));
}
