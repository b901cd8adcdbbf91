use std::fs;

use super::super::outbox::LETTERS_MAX;
use super::{Folder, Outbox, letter};

#[test]
fn what_was_put_in_outlives_the_process_in_its_order() {
    let folder = Folder::new("order");
    let open = || Outbox::open(&folder.0, "r").unwrap();
    let outbox = open();
    ["a", "b", "c"].iter().for_each(|id| assert!(outbox.put(&letter(id)).unwrap().is_empty()));
    let (number, first) = outbox.first().unwrap();
    assert_eq!(first, letter("a"));
    outbox.remove(number).unwrap();
    drop(outbox);
    let outbox = open();
    assert_eq!((outbox.len(), outbox.first().unwrap().1), (2, letter("b")));
    outbox.put(&letter("d")).unwrap();
    let mut order = Vec::new();
    while let Some((number, letter)) = outbox.first() {
        outbox.remove(number).unwrap();
        order.push(letter.id);
    }
    assert_eq!(order, ["b", "c", "d"]);
    assert!(outbox.is_empty());
}

#[test]
fn half_a_file_is_no_message_and_a_damaged_one_stops_nobody() {
    let folder = Folder::new("damaged");
    let place = folder.0.join("0/r");
    fs::create_dir_all(&place).unwrap();
    fs::write(place.join("00000000000000000003.tmp"), "{\"id\":").unwrap();
    fs::write(place.join("00000000000000000001.json"), "{\"id\":").unwrap();
    fs::write(place.join("00000000000000000002.json"), serde_json::to_vec(&letter("whole")).unwrap()).unwrap();
    let outbox = Outbox::open(&folder.0, "r").unwrap();
    assert_eq!(outbox.first().unwrap().1, letter("whole"));
    assert_eq!(outbox.len(), 1);
    assert!(!place.join("00000000000000000003.tmp").exists());
}

#[test]
fn two_servers_do_not_send_each_others_messages() {
    let folder = Folder::new("two");
    let one = Outbox::open(&folder.0, "r").unwrap();
    let other = Outbox::open(&folder.0, "r").unwrap();
    one.put(&letter("a")).unwrap();
    assert!(other.is_empty());
    drop(one);
    assert_eq!(Outbox::open(&folder.0, "r").unwrap().first().unwrap().1, letter("a"));
}

#[test]
fn a_full_box_drops_the_oldest_and_says_so() {
    let folder = Folder::new("full");
    let place = folder.0.join("0/r");
    fs::create_dir_all(&place).unwrap();
    for number in 0..LETTERS_MAX {
        let text = serde_json::to_vec(&letter(&number.to_string())).unwrap();
        fs::write(place.join(format!("{number:020}.json")), text).unwrap();
    }
    let outbox = Outbox::open(&folder.0, "r").unwrap();
    assert_eq!(outbox.put(&letter("new")).unwrap(), ["0"]);
    assert_eq!((outbox.len(), outbox.first().unwrap().1.id), (LETTERS_MAX, "1".to_owned()));
}
