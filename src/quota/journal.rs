//! IO: the journal, which remembers every count that a client may have seen the answer of.
//!
//! Short lines of text in `<n>.log`, one per change of a window: `<id> <version> <start> <requests>
//! <tokens> <input tokens> <output tokens>`, the id as 16 hexadecimal digits, the start of the period, or of
//! the slot of a rolling window, in milliseconds since 1970. Lines of earlier versions end with the tokens.
//! Numbers are absolute, so the line with the highest version is all there is to know of an id and a start,
//! lines may come twice or in any order, and reading them again changes nothing.
//!
//! Lines are [staged](Journal::stage) and then [written](Journal::write), all that are staged with one
//! `write` to a file opened for appending, without `fsync`: they survive the end of the process, not of
//! the power. Requests that end together so share one system call, and an id whose count changes many
//! times in between needs one line. The readable files, which are synced, are at most seconds behind
//! (some more with hundreds of busy accounts).

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering};

use arc_swap::ArcSwapOption;
use parking_lot::Mutex;

use super::ledger::Tally;
use super::limit::PerUnit;
use crate::clock::UnixMillis;

/// The segments in one folder. Only the newest is written to.
#[derive(Debug)]
pub(super) struct Journal {
    folder: PathBuf,
    /// `None` while no segment could be opened.
    live: ArcSwapOption<Segment>,
    /// What is to be written next.
    staged: Mutex<Staged>,
    /// How many of the tallies that were ever staged are written, or lost and told of.
    written: AtomicU64,
    /// Whether lines were lost since the journal worked last.
    failed: AtomicBool,
    /// The operating system's number of the last error; 0 if it had none.
    error: AtomicI32,
}

#[derive(Debug, Default)]
struct Staged {
    /// The latest of each id and start: a handful, so a list beats a map.
    tallies: Vec<Tally>,
    /// How many were ever staged.
    count: u64,
    /// The lines as they are written. Kept for its room.
    lines: Vec<u8>,
}

#[derive(Debug)]
struct Segment {
    number: u64,
    file: File,
}

/// Size at which a new segment begins: a few hundred thousand lines, read back in a moment.
const SEGMENT_BYTES: u64 = 16 << 20;

/// First line of each segment: tells people what they look at, and us that writing works.
const HEADER: &[u8] = b"# id version start requests tokens input_tokens output_tokens\n";

impl Journal {
    /// Opens the journal in `folder` and begins a new segment. If that fails, [`trouble`] says so
    /// and [`renew`] tries again.
    ///
    /// [`trouble`]: Journal::trouble
    /// [`renew`]: Journal::renew
    pub(super) fn open(folder: PathBuf) -> Journal {
        let journal = Journal {
            folder,
            live: ArcSwapOption::empty(),
            staged: Mutex::default(),
            written: AtomicU64::new(0),
            failed: AtomicBool::new(true),
            error: AtomicI32::new(0),
        };
        journal.renew();
        journal
    }

    /// Adds `tallies` to what is written next, all of them at once. Gives the number by which
    /// [`write`](Journal::write) knows them.
    pub(super) fn stage(&self, tallies: &[Tally]) -> u64 {
        let mut staged = self.staged.lock();
        for tally in tallies {
            let same = |known: &&mut Tally| (known.id, known.start) == (tally.id, tally.start);
            match staged.tallies.iter_mut().find(same) {
                Some(known) if known.version < tally.version => *known = *tally,
                Some(_) => {}
                None => staged.tallies.push(*tally),
            }
        }
        staged.count += 1;
        staged.count
    }

    /// Writes down all that is staged, unless what has this `number` is written already. When this
    /// returns, its line survives the end of this process.
    ///
    /// A line that cannot be written is not an error of the request: serving goes on and
    /// [`trouble`](Journal::trouble) tells.
    pub(super) fn write(&self, number: u64) {
        if self.written.load(Ordering::Acquire) >= number {
            return;
        }
        // Held while writing: another thread whose line is among these must not go on before.
        let staged = &mut *self.staged.lock();
        if staged.tallies.is_empty() {
            return;
        }
        staged.lines.clear();
        if self.failed.load(Ordering::Relaxed) {
            // Ends what a failed write may have left, and so that it is no line: its last number may be cut.
            staged.lines.extend_from_slice(b" \n");
        }
        for tally in staged.tallies.drain(..) {
            push_line(&mut staged.lines, &tally);
        }
        if let Some(segment) = &*self.live.load()
            && let Err(error) = write_at_once(&segment.file, &staged.lines)
        {
            self.fail(&error);
        }
        self.written.store(staged.count, Ordering::Release);
    }

    /// Begins a new segment if the live one is large, gone, or could not be written. Tells whether
    /// it did: then the older ones wait for [`discard_older`](Journal::discard_older).
    pub(super) fn renew(&self) -> bool {
        let live = self.live.load_full();
        let usable = live.as_ref().is_some_and(|segment| {
            !self.failed.load(Ordering::Relaxed)
                && segment
                    .file
                    .metadata()
                    .is_ok_and(|m| m.len() < SEGMENT_BYTES)
                && self.path(segment.number).exists()
        });
        if usable {
            return false;
        }
        match self.begin(live.map_or(0, |segment| segment.number)) {
            Ok(segment) => {
                self.live.store(Some(Arc::new(segment)));
                self.failed.store(false, Ordering::Relaxed);
                true
            }
            Err(error) => {
                self.fail(&error);
                false
            }
        }
    }

    /// Removes all segments but the live one. To be called when the readable files contain
    /// whatever was counted before the live one began.
    pub(super) fn discard_older(&self) -> io::Result<()> {
        let live = self.live.load_full().map_or(0, |segment| segment.number);
        for number in numbers(&self.folder)? {
            if number < live {
                fs::remove_file(self.path(number))?;
            }
        }
        Ok(())
    }

    /// Why lines are being lost, if they are.
    pub(super) fn trouble(&self) -> Option<String> {
        self.failed.load(Ordering::Relaxed).then(|| {
            let reason = match self.error.load(Ordering::Relaxed) {
                0 => "it was not written as a whole".to_owned(),
                number => io::Error::from_raw_os_error(number).to_string(),
            };
            format!(
                "cannot write the quota journal in {}: {reason}",
                self.folder.display()
            )
        })
    }

    fn fail(&self, error: &io::Error) {
        self.error
            .store(error.raw_os_error().unwrap_or(0), Ordering::Relaxed);
        self.failed.store(true, Ordering::Relaxed);
    }

    /// Opens the segment after `number` and after all that exist.
    fn begin(&self, number: u64) -> io::Result<Segment> {
        fs::create_dir_all(&self.folder)?;
        let last = numbers(&self.folder)?.into_iter().fold(number, u64::max);
        let number = last.saturating_add(1);
        let path = self.path(number);
        let mut options = OpenOptions::new();
        options.append(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o640);
        let file = options.open(&path)?;
        if let Err(error) = write_at_once(&file, HEADER) {
            // An empty segment does no harm, but one each second would add up.
            let _ = fs::remove_file(&path);
            return Err(error);
        }
        Ok(Segment { number, file })
    }

    fn path(&self, number: u64) -> PathBuf {
        self.folder.join(format!("{number}.log"))
    }
}

/// What the journal knows: of each id, the latest tally of each start.
pub(super) type Recovered = HashMap<u64, BTreeMap<UnixMillis, Tally>>;

/// Reads the segments of `folder`. What is not a whole line is ignored: the process or the disk ended in
/// the middle of it.
pub(super) fn replay(folder: &Path) -> io::Result<Recovered> {
    let mut latest = Recovered::new();
    for number in numbers(folder)? {
        let text = fs::read(folder.join(format!("{number}.log")))?;
        for tally in text.split_inclusive(|&b| b == b'\n').filter_map(parse) {
            let known = latest.entry(tally.id).or_default();
            let known = known.entry(tally.start).or_insert(tally);
            if tally.version > known.version {
                *known = tally;
            }
        }
    }
    Ok(latest)
}

/// The numbers of the segments in `folder`; none if there is no folder.
fn numbers(folder: &Path) -> io::Result<Vec<u64>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let name = entry?.file_name();
        let number = name.to_str().and_then(|name| name.strip_suffix(".log"));
        found.extend(number.and_then(|number| number.parse::<u64>().ok()));
    }
    Ok(found)
}

/// One `write`, so that lines of different threads never mix. A short one is a failure: a second
/// one for the rest could land behind somebody else's line.
fn write_at_once(mut file: &File, bytes: &[u8]) -> io::Result<()> {
    loop {
        match file.write(bytes) {
            Ok(written) if written == bytes.len() => return Ok(()),
            Ok(_) => return Err(io::ErrorKind::WriteZero.into()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

fn parse(line: &[u8]) -> Option<Tally> {
    let line = str::from_utf8(line.strip_suffix(b"\n")?).ok()?;
    let mut fields = line.split(' ');
    let id = fields.next().filter(|id| id.len() == 16)?;
    let id = u64::from_str_radix(id, 16).ok()?;
    let version = fields.next()?.parse().ok()?;
    let start = UnixMillis(fields.next()?.parse().ok()?);
    let mut number = || fields.next().map(str::parse::<u64>);
    let mut used = PerUnit([number()?.ok()?, number()?.ok()?, 0, 0]);
    if let Some(input) = number() {
        used.0[2] = input.ok()?;
        used.0[3] = number()?.ok()?;
    }
    fields.next().is_none().then_some(Tally {
        id,
        version,
        start,
        used,
    })
}

fn push_line(lines: &mut Vec<u8>, tally: &Tally) {
    let digit = |shift: u32| b"0123456789abcdef"[(tally.id >> (4 * shift)) as usize & 0xf];
    lines.extend((0..16).rev().map(digit));
    let mut number = |digits: &str| {
        lines.push(b' ');
        lines.extend_from_slice(digits.as_bytes());
    };
    number(itoa::Buffer::new().format(tally.version));
    number(itoa::Buffer::new().format(tally.start.0));
    for used in tally.used.0 {
        number(itoa::Buffer::new().format(used));
    }
    lines.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    const TALLY: Tally = Tally {
        id: 0x00ab_cdef_0123_4567,
        version: u64::MAX,
        start: UnixMillis(i64::MIN),
        used: PerUnit([u64::MAX; 4]),
    };

    fn recovered(tally: Tally) -> Recovered {
        HashMap::from([(tally.id, BTreeMap::from([(tally.start, tally)]))])
    }

    fn line(tally: &Tally) -> Vec<u8> {
        let mut line = Vec::new();
        push_line(&mut line, tally);
        line
    }

    #[test]
    fn a_line_is_read_back() {
        let text = line(&TALLY);
        assert!(text.starts_with(b"00abcdef01234567 18446744073709551615 -9223372036854775808 "));
        assert_eq!(parse(&text), Some(TALLY));
        assert_eq!(parse(&text[..text.len() - 1]), None);
        let older = parse(b"00abcdef01234567 3 -7 5 60\n").unwrap();
        assert_eq!(
            (older.start, older.used),
            (UnixMillis(-7), PerUnit([5, 60, 0, 0]))
        );
        assert_eq!(parse(HEADER), None);
    }

    #[test]
    fn what_is_staged_is_written_at_once_and_once() {
        let folder = tempfile::TempDir::new().unwrap();
        let journal = Journal::open(folder.path().to_owned());
        let of = |id, version| Tally {
            id,
            version,
            ..TALLY
        };
        let numbers = [of(1, 1), of(2, 5), of(1, 3), of(1, 2)].map(|tally| journal.stage(&[tally]));
        assert_eq!(replay(folder.path()).unwrap(), HashMap::new());
        for number in numbers {
            journal.write(number);
        }
        let text = fs::read(journal.path(1)).unwrap();
        let expected = [HEADER, &line(&of(1, 3)), &line(&of(2, 5))].concat();
        assert_eq!(String::from_utf8(text), String::from_utf8(expected));
    }

    #[test]
    fn the_highest_version_counts_wherever_it_stands() {
        let folder = tempfile::TempDir::new().unwrap();
        let of = |version| Tally { version, ..TALLY };
        for (segment, versions) in [("1.log", [5, 2]), ("2.log", [3, 9]), ("10.log", [8, 7])] {
            let lines = versions.map(|version| line(&of(version)));
            fs::write(folder.path().join(segment), lines.concat()).unwrap();
        }
        let latest = replay(folder.path()).unwrap();
        assert_eq!(latest, recovered(of(9)));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_disk_is_told_and_passes() {
        let folder = tempfile::TempDir::new().unwrap();
        let journal = Journal::open(folder.path().to_owned());
        assert_eq!(journal.trouble(), None);

        let full = OpenOptions::new().append(true).open("/dev/full").unwrap();
        let working = journal.live.swap(Some(Arc::new(Segment {
            number: 1,
            file: full,
        })));
        journal.write(journal.stage(&[TALLY]));
        let trouble = journal.trouble().unwrap();
        assert!(trouble.contains("No space left on device"), "{trouble}");

        // The line after a failed one begins on its own, and what was cut is not believed.
        journal.live.store(working);
        fs::write(journal.path(1), b"00abcdef01234568 2 0 41 41 41 41").unwrap();
        journal.write(journal.stage(&[TALLY]));
        assert_eq!(replay(folder.path()).unwrap(), recovered(TALLY));

        assert!(journal.renew());
        assert_eq!(journal.trouble(), None);
        assert!(!journal.renew());
        journal.discard_older().unwrap();
        assert_eq!(numbers(folder.path()).unwrap(), [2]);
    }
}
