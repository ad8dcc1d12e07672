//! Runs the examples of this crate.

#[path = "../examples/word_count.rs"]
mod word_count;

#[tokio::test]
async fn the_word_count_service_answers_and_keeps_its_tasks() {
    let folder = tempfile::tempdir().unwrap();
    let texts = ["the row is the truth", ""];
    let expected = [
        r#""the row is the truth": {"words":5} after 1 attempt"#,
        r#""": failed with EmptyText: a text without words cannot be counted"#,
    ];
    for _ in 0..2 {
        assert_eq!(word_count::count_words(folder.path(), &texts).await.unwrap(), expected);
    }
}
