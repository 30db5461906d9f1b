//! Real files, changed in the ways that editors, deployments and people change them. Each change
//! must be reported within 2 s, with the system's events and without.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::symlink;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::SystemTime;

use tempfile::TempDir;

use super::*;
use crate::config::{Config, Rejected};

const IN_TIME: Duration = Duration::from_secs(2);

struct Watched {
    folder: TempDir,
    source: Source,
    reports: Receiver<Result<Config, Rejected>>,
    watcher: Watcher,
}

impl Watched {
    /// A watch on a file called `provider.json`, in a folder that `prepare` fills.
    fn start(hinted: bool, prepare: impl FnOnce(&Path)) -> Watched {
        let folder = tempfile::tempdir().unwrap();
        prepare(folder.path());
        let source = Source::new(folder.path().join("provider.json"), false);
        let _ = source.load();
        let (sender, reports) = channel();
        let report = move |news: News| {
            if let Some(outcome) = news.take() {
                let _ = sender.send(outcome);
            }
        };
        let watcher = Watcher::start_with(source.clone(), Box::new(report), hinted);
        Watched {
            folder,
            source,
            reports,
            watcher,
        }
    }

    fn file(&self) -> &Path {
        self.source.path()
    }

    fn beside(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn next(&self) -> Result<Config, Rejected> {
        self.reports
            .recv_timeout(IN_TIME)
            .expect("a report in time")
    }

    #[track_caller]
    fn expect_model(&self, name: &str) {
        assert_eq!(self.next().unwrap().models[0].name, name);
    }
}

/// Begins with model `old`, makes a change, and expects model `new` as the next thing reported.
fn check(change: impl Fn(&Watched) + Sync) {
    with_and_without_hints(|hinted| {
        let watched = Watched::start(hinted, |folder| {
            write(&folder.join("provider.json"), &config("old"));
        });
        change(&watched);
        watched.expect_model("new");
    });
}

/// Both at once, since either spends its time waiting.
fn with_and_without_hints(test: impl Fn(bool) + Sync) {
    thread::scope(|scope| {
        scope.spawn(|| test(true));
        scope.spawn(|| test(false));
    });
}

fn config(model: &str) -> String {
    format!(
        r#"{{"{model}": {{"providers": [{{"name": "p", "endpoint": "http://localhost", "api_key": "k", "model": "m"}}]}}}}"#
    )
}

fn write(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
}

#[test]
fn written_in_place() {
    check(|watched| write(watched.file(), &config("new")));
}

#[test]
fn truncated_and_slowly_rewritten() {
    check(|watched| {
        let mut file = File::create(watched.file()).unwrap();
        let text = config("new");
        for piece in text.as_bytes().chunks(text.len() / 8) {
            thread::sleep(Duration::from_millis(120));
            file.write_all(piece).unwrap();
            file.sync_data().unwrap();
        }
    });
}

#[test]
fn renamed_over() {
    check(|watched| {
        write(&watched.beside("provider.json.tmp"), &config("new"));
        fs::rename(watched.beside("provider.json.tmp"), watched.file()).unwrap();
    });
}

#[test]
fn saved_by_an_editor_that_keeps_a_backup() {
    check(|watched| {
        fs::rename(watched.file(), watched.beside("provider.json~")).unwrap();
        write(watched.file(), &config("new"));
        fs::remove_file(watched.beside("provider.json~")).unwrap();
    });
}

#[test]
fn deleted_and_created_again() {
    check(|watched| {
        fs::remove_file(watched.file()).unwrap();
        thread::sleep(Duration::from_millis(400));
        write(watched.file(), &config("new"));
    });
}

#[test]
fn restored_with_an_older_time() {
    check(|watched| {
        write(&watched.beside("backup"), &config("new"));
        let file = File::options().write(true).open(watched.beside("backup"));
        file.unwrap().set_modified(SystemTime::UNIX_EPOCH).unwrap();
        fs::rename(watched.beside("backup"), watched.file()).unwrap();
    });
}

#[test]
fn a_link_to_another_file() {
    with_and_without_hints(|hinted| {
        let watched = Watched::start(hinted, |folder| {
            fs::create_dir(folder.join("one")).unwrap();
            write(&folder.join("one/a.json"), &config("old"));
            symlink("one/a.json", folder.join("provider.json")).unwrap();
        });
        fs::create_dir(watched.beside("two")).unwrap();
        write(&watched.beside("two/b.json"), &config("new"));
        symlink("two/b.json", watched.beside("link")).unwrap();
        fs::rename(watched.beside("link"), watched.file()).unwrap();
        watched.expect_model("new");

        write(&watched.beside("two/b.json"), &config("newer"));
        watched.expect_model("newer");
    });
}

#[test]
fn the_folder_swap_of_a_mounted_config_map() {
    with_and_without_hints(|hinted| {
        let watched = Watched::start(hinted, |folder| {
            fs::create_dir(folder.join("..1")).unwrap();
            write(&folder.join("..1/provider.json"), &config("old"));
            symlink("..1", folder.join("..data")).unwrap();
            symlink("..data/provider.json", folder.join("provider.json")).unwrap();
        });
        for (before, now) in [("..1", "..2"), ("..2", "..3")] {
            fs::create_dir(watched.beside(now)).unwrap();
            write(&watched.beside(now).join("provider.json"), &config(now));
            symlink(now, watched.beside("..data_tmp")).unwrap();
            fs::rename(watched.beside("..data_tmp"), watched.beside("..data")).unwrap();
            fs::remove_dir_all(watched.beside(before)).unwrap();
            watched.expect_model(now);
        }
    });
}

#[test]
fn a_folder_that_appears_and_is_replaced() {
    with_and_without_hints(|hinted| {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path().join("config");
        let source = Source::new(home.join("provider.json"), false);
        let (sender, reports) = channel();
        let report = move |news: News| {
            let Some(outcome) = news.take() else { return };
            let name = outcome.map(|config| config.models[0].name.clone());
            let _ = sender.send(name.map_err(|rejected| rejected.problems.len()));
        };
        let _watcher = Watcher::start_with(source, Box::new(report), hinted);
        assert_eq!(reports.recv_timeout(IN_TIME), Ok(Err(1)), "nothing there");

        fs::create_dir(&home).unwrap();
        write(&home.join("provider.json"), &config("first"));
        assert_eq!(reports.recv_timeout(IN_TIME), Ok(Ok("first".to_owned())));

        let next = folder.path().join("next");
        fs::create_dir(&next).unwrap();
        write(&next.join("provider.json"), &config("second"));
        fs::rename(&home, folder.path().join("before")).unwrap();
        fs::rename(&next, &home).unwrap();
        assert_eq!(reports.recv_timeout(IN_TIME), Ok(Ok("second".to_owned())));

        write(&home.join("provider.json"), &config("third"));
        assert_eq!(reports.recv_timeout(IN_TIME), Ok(Ok("third".to_owned())));
    });
}

#[test]
fn each_content_is_reported_once() {
    check(|watched| {
        write(watched.file(), "{");
        assert_eq!(watched.next().unwrap_err().problems.len(), 1);
        write(watched.file(), "{");
        write(watched.file(), &config("old"));
        watched.expect_model("old");
        fs::remove_file(watched.file()).unwrap();
        let problems = watched.next().unwrap_err().problems;
        assert!(problems[0].message.starts_with("cannot be read"));
        write(watched.file(), &config("old"));
        watched.expect_model("old");
        write(watched.file(), &config("new"));
    });
}

#[test]
fn what_was_loaded_by_somebody_else_is_no_news() {
    let folder = tempfile::tempdir().unwrap();
    let source = Source::new(folder.path().join("provider.json"), false);
    let watch = Watch {
        source: source.clone(),
        on_change: Box::new(|_| {}),
        signals: Arc::default(),
        hints: None,
    };
    write(source.path(), &config("m"));
    assert!(watch.news().is_some());
    source.load().unwrap();
    assert!(watch.news().is_none());
    write(source.path(), "{");
    source.load().unwrap_err();
    assert!(watch.news().is_none());
}

#[test]
fn nothing_is_reported_after_the_drop() {
    let watched = Watched::start(true, |_| {});
    write(watched.file(), &config("new"));
    drop(watched.watcher);
    let report = watched.reports.recv_timeout(Duration::ZERO);
    assert_eq!(report.unwrap_err(), RecvTimeoutError::Disconnected);
}
