use super::{super::words::statements, *};
use crate::ecosystem::budget::Budget;

/// The expanded calls of `gem` in a program, without blanks.
fn calls(text: &str) -> Vec<String> {
    let budget = Budget::alone(text.len());
    let mut program = Program::new(text.len(), |name| name == "gem", budget);
    let expanded = statements(text).flat_map(|(_, statement)| {
        let expanded = program.expand(&statement);
        expanded.into_iter().map(Cow::into_owned).collect::<Vec<_>>()
    });
    expanded
        .filter(|statement| statement.trim_start().starts_with("gem"))
        .map(|statement| statement.replace(' ', ""))
        .collect()
}

#[test]
fn names_with_one_literal_value_are_replaced() {
    let text = "A = '1.0'\nB = \"~> #{A}\".freeze\nC = B\nD = ENV['D']\nE = '1' if x\nF = '1'\nF = '2'\n\
                G = %w[>=1 <2]\nH = '1'\nH << '2'\ns.version = '3'\n\
                gem 'a', A\ngem 'b', B\ngem 'c', C\ngem 'd', D\ngem 'e', E\ngem 'f', F\ngem 'g', G\ngem 'h', H\n\
                gem 'i', s.version\ngem 'j', A.to_sym\ngem 'k', x.A\ngem 'l', \"#{A}-#{D}\"\n";
    assert_eq!(
        calls(text),
        [
            "gem'a','1.0'",
            "gem'b','~>1.0'",
            "gem'c','~>1.0'",
            "gem'd',D",
            "gem'e',E",
            "gem'f',F",
            "gem'g',['>=1','<2',]",
            "gem'h',H",
            "gem'i','3'",
            "gem'j',A.to_sym",
            "gem'k',x.A",
            "gem'l',\"#{A}-#{D}\"",
        ],
    );
}

#[test]
fn calls_in_literal_loops_are_repeated() {
    for (text, expected) in [
        ("%w[a b].each do |n|\n  gem n, '1'\nend\ngem n\n", "gem'a','1' gem'b','1' gemn"),
        ("['a', :b].each { |n| gem n }\n", "gem'a' gem'b'"),
        ("%i[a b].each { |n| gem n.to_s, '1' }\n", "gem'a','1' gem'b','1'"),
        ("['a'].each { |n|\n  gem n\n}\ngem n\n", "gem'a' gemn"),
        ("{ 'a' => '1', b: '2' }.each { |n, v| gem n, v }\n", "gem'a','1' gem'b','2'"),
        (
            "L = [['a', '1'],\n  ['b', '2']].freeze\nL.each do |n, v|\n gem n, v\nend\n",
            "gem'a','1' gem'b','2'",
        ),
        ("%w[\n  a\n  b\n].each do |n|\n  gem \"x-#{n}\"\nend\n", "gem'x-a' gem'x-b'"),
        ("for n in %w[a b]\n  gem n\nend\n", "gem'a' gem'b'"),
        ("%w[a b].each do |n| gem n end\n", "gem'a' gem'b'"),
        (
            "%w[a b].each do |n|\n %w[1 2].each do |v|\n  gem n, v\n end\nend\n",
            "gem'a','1' gem'a','2' gem'b','1' gem'b','2'",
        ),
        ("%w[a b].each do |n|\n  gem 'c'\nend\n", "gem'c'"),
        // What is not literal stays as it is, whatever has the same name outside.
        ("n = 'x'\nothers.each do |n|\n  gem n\nend\ngem n\n", "gemn gem'x'"),
        ("n = 'x'\ndef add(n)\n  gem n\nend\n", "gemn"),
        ("%w[a b].each do |n|\n others.each do |n|\n  gem n\n end\nend\n", "gemn"),
        ("[a, 'b'].each { |n| gem n }\n", ""),
        ("%w[a b].map { |n| gem n }\n", ""),
    ] {
        assert_eq!(calls(text).join(" "), expected, "{text}");
    }
}

/// Fails if nested loops multiply without a bound.
#[test]
fn loops_give_no_more_calls_than_the_file_is_long() {
    let list = format!("%w[{}]", "a ".repeat(50));
    let nested = format!("{list}.each do |n|\n {list}.each do |v|\n  gem n, v\n end\nend\n");
    assert_eq!(calls(&nested), ["gemn,v"]);
    let many = format!("{list}.each do |n|\n{}end\n", "  gem n\n".repeat(100));
    assert!(calls(&many).len() <= many.len() / 2 + 100);
}
