//! The LAN as a picture.

use super::plan;

/// Draws the switch and what is plugged into it.
pub(crate) fn draw(nodes: &[String], ipv6: bool) -> String {
    let client =
        Station { name: "client".to_owned(), v4: plan::CLIENT.to_string(), v6: plan::CLIENT_V6.to_string() };
    draw_with(nodes, client, ipv6).0
}

/// The same with the router between the LAN and the client.
pub(crate) fn draw_routed(nodes: &[String], router: &str) -> String {
    let router = Station { name: clip(router), v4: plan::ROUTER.to_string(), v6: String::new() };
    let (mut picture, column) = draw_with(nodes, router, false);
    for text in ["│", "client", &plan::CLIENT_OUTSIDE.to_string()] {
        let line = format!("\n{}{text:^CELL$}", " ".repeat(column));
        picture.push_str(line.trim_end());
    }
    picture
}

/// The picture, and where the cell of the last station begins.
fn draw_with(nodes: &[String], last: Station, ipv6: bool) -> (String, usize) {
    let node = |(index, name): (usize, &String)| Station {
        name: clip(name),
        v4: plan::node_address(index).to_string(),
        v6: plan::node_address_v6(index).to_string(),
    };
    let mut boxes: Vec<Station> = nodes.iter().enumerate().map(node).collect();
    if boxes.len() > MOST {
        let between = Station { name: "...".to_owned(), v4: String::new(), v6: String::new() };
        boxes.splice(MOST - 2..boxes.len() - 1, [between]);
    }
    boxes.push(last);
    let centre = |index: usize| index * CELL + CELL / 2;
    let (first, last) = (centre(0), centre(boxes.len() - 1));
    let wire = format!("{}┌{:─^width$}┐", " ".repeat(first), " switch ", width = last - first - 1);
    let mut drops = vec![' '; last + 1];
    (0..boxes.len()).for_each(|index| drops[centre(index)] = '│');
    let row = |texts: Vec<&str>| texts.iter().map(|text| format!("{text:^CELL$}")).collect::<String>();
    let mut lines = vec![
        wire,
        drops.into_iter().collect(),
        row(boxes.iter().map(|station| station.name.as_str()).collect()),
        row(boxes.iter().map(|station| station.v4.as_str()).collect()),
    ];
    if ipv6 {
        lines.push(row(boxes.iter().map(|station| station.v6.as_str()).collect()));
    }
    let picture = lines.iter().map(|line| line.trim_end()).collect::<Vec<_>>().join("\n");
    (picture, (boxes.len() - 1) * CELL)
}

/// What is drawn below the wire.
struct Station {
    name: String,
    v4: String,
    v6: String,
}

/// A name that fits into its box.
fn clip(name: &str) -> String {
    name.chars().take(CELL - 1).collect()
}

/// The width of a box.
const CELL: usize = 17;
/// So many nodes are drawn; of more, the first ones and the last.
const MOST: usize = 5;

#[cfg(test)]
mod tests {
    use super::*;

    fn draw(nodes: usize) -> String {
        super::draw(&(0..nodes).map(plan::node_name).collect::<Vec<_>>(), true)
    }

    #[test]
    fn it_shows_every_box_on_one_wire() {
        let expected = [
            "        ┌──────────── switch ─────────────┐",
            "        │                │                │",
            "      node1            node2           client",
            "  192.168.42.11    192.168.42.12   192.168.42.100",
            "   fd00:42::11      fd00:42::12     fd00:42::100",
        ];
        assert_eq!(draw(2).lines().collect::<Vec<_>>(), expected);
        let without = super::draw(&["node1".to_owned(), "node2".to_owned()], false);
        assert_eq!(without.lines().collect::<Vec<_>>(), expected[..4]);
    }

    #[test]
    fn a_router_is_between_the_lan_and_the_client() {
        let picture = draw_routed(&["node1".to_owned(), "node2".to_owned()], "BIRD 2.0.12");
        let expected = [
            "        ┌──────────── switch ─────────────┐",
            "        │                │                │",
            "      node1            node2         BIRD 2.0.12",
            "  192.168.42.11    192.168.42.12    192.168.42.1",
            "                                          │",
            "                                       client",
            "                                   192.168.41.100",
        ];
        assert_eq!(picture.lines().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn many_nodes_are_abridged() {
        let picture = draw(50);
        assert!(
            picture.contains("node3") && picture.contains("...") && picture.contains("node50"),
            "{picture}"
        );
        assert!(!picture.contains("node4 "), "{picture}");
    }
}
