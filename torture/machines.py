"""Row 20: odd machines: zones, locales, no home, nothing to write to, a clock that goes back, closed streams."""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from torture import commands
from torture.commands import Ended, environment
from torture.subject import Kind, Subject
from torture.tally import Tally

SPLIT_AT = 14
KEPT = ("OMP_NUM_THREADS", "PYTHONPATH")  # on every machine: bits are promised for equal thread counts
SHIM = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <time.h>
/* Calendar time that goes back by a day with every call, from ten years ago. */
int clock_gettime(clockid_t clock, struct timespec *now) {
    static int (*real)(clockid_t, struct timespec *);
    static long days;
    if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
    int code = real(clock, now);
    if (!code && clock == CLOCK_REALTIME) now->tv_sec -= 86400 * (3652 + days++);
    return code;
}
time_t time(time_t *place) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (place) *place = now.tv_sec;
    return now.tv_sec;
}
"""
ALONE = (  # the root read-only, but for the folder given first; then the command
    'mount --make-rprivate / && mount --bind "$0" "$0" && mount -o remount,bind,ro / && '
    "for place in $(findmnt -rno TARGET | grep -v -e '^/proc' -e '^/sys' -e '^/dev' | grep -v -x -e / -e \"$0\"); do "
    'mount -o remount,bind,ro "$place" 2> /dev/null; done; exec "$@"'
)


@dataclass(frozen=True, slots=True)
class Machine:
    """How one is odd: other variables (None: not set), words of a command before ours."""

    name: str
    variables: Mapping[str, str | None] = field(default_factory=dict[str, str | None])
    before: tuple[str, ...] = ()
    mute: bool = False  # nothing can be read from its stdout
    deaf: bool = False  # nobody reads its stderr


def limited(command: str) -> tuple[str, ...]:
    return ("sh", "-c", f'{command}; exec "$@"', "sh")


MACHINES = [
    Machine("TZ=Pacific/Chatham", {"TZ": "Pacific/Chatham"}),
    Machine("TZ that does not exist", {"TZ": "Nowhere/At/All"}),
    Machine("LC_ALL=C, no UTF-8 mode", {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}),
    Machine("Turkish", {"LC_ALL": "tr_TR.UTF-8", "LANG": "tr_TR", "LANGUAGE": "tr"}),
    Machine("Turkish in Latin-5", {"LC_ALL": "tr_TR.ISO-8859-9", "PYTHONIOENCODING": "iso8859-9"}),
    Machine("no variables at all", dict.fromkeys(os.environ)),
    Machine("no HOME, a nameless user", {"HOME": None}, ("setpriv", "--reuid", "54321", "--clear-groups")),
    Machine("HOME that cannot be written", {"HOME": "/proc/1", "XDG_CACHE_HOME": None, "MPLCONFIGDIR": None}),
    Machine("TMPDIR that does not exist", {"TMPDIR": "/nowhere"}),
    Machine("umask 077", before=limited("umask 077")),
    Machine("umask 000", before=limited("umask 000")),
    Machine("40 open files", before=limited("ulimit -n 40")),
    Machine("no stdin", before=limited("exec 0<&-")),
    Machine("stdout closed", before=limited("exec 1>&-"), mute=True),
    Machine("stderr closed", before=limited("exec 2>&-")),
    Machine("stderr is /dev/full", before=limited("exec 2> /dev/full")),
    Machine("stderr's reader has left", deaf=True),
    Machine("PYTHONHASHSEED=7, -X dev", {"PYTHONHASHSEED": "7", "PYTHONDEVMODE": "1"}),
    Machine("monotonic clock of another boot", before=("unshare", "--time", "--monotonic", "9000000", "--fork")),
    Machine("calendar that goes back", {"LD_PRELOAD": "SHIM"}),
    Machine("everything read-only but the run", before=("unshare", "-m", "sh", "-c", ALONE, "PLACE")),
]


def odd(subject: Subject, kind: Kind, names: Sequence[str] = ()) -> Tally:
    """On each machine a run is begun, resumed to its end, and asked to write: equal to the bit."""
    tally = Tally(20, f"odd machines, {kind.name} begun, resumed, and asked to write")
    subject.folder.chmod(0o755)  # one of them is another user
    said = subject.must(commands.run(*_words(subject.whole))).out
    for machine in MACHINES:
        if names and machine.name not in names:
            continue
        place = subject.fresh()
        place.mkdir()
        place.chmod(0o777)
        prepared = _prepared(machine, subject, place)
        if prepared is None:
            tally.seen[f"not run: {machine.name},"] += 1
            continue
        tally.count(machine.name, _trial(prepared, subject, kind, place / "run", said), "machines")
    return tally


def unable_to_speak(subject: Subject) -> Tally:
    """Results that cannot be written are a failure in one line, never a success; a reader that leaves is none."""
    tally = Tally(20, "a stdout that is full, closed or left")
    for words in (_words(subject.whole), ("resume", subject.whole, "--json")):
        with Path("/dev/full").open("wb") as full:
            ended = commands.run(*words, stdout=full)
        right = ended.code == 1 and "Traceback" not in ended.err and "No space left" in ended.last_line
        tally.count(f"{words[0]} into /dev/full", "" if right else f"{ended.code}: {ended.err[-300:]}", "full")
        reading, writing = os.pipe()
        os.close(reading)
        with os.fdopen(writing, "wb") as pipe:
            ended = commands.run(*words, stdout=pipe)
        right = ended.code == 1 and "Traceback" not in ended.err and "Exception" not in ended.err
        tally.count(f"{words[0]} into a closed pipe", "" if right else f"{ended.code}: {ended.err[-300:]}", "left")
    return tally


def _words(run: Path) -> tuple[object, ...]:
    return ("generate", run, "--prompt", "a", "--max-tokens", 8, "--json")


def _trial(machine: Machine, subject: Subject, kind: Kind, run: Path, said: str) -> str:
    env = environment() | {key: value for key, value in machine.variables.items() if value is not None}
    env = {key: value for key, value in env.items() if key in KEPT or machine.variables.get(key, "") is not None}
    for words in ((*kind.words, "--out", run, "--stop-at", SPLIT_AT), ("resume", run), _words(run)):
        ended = _run(machine, words, env)
        if ended.code or "Traceback" in ended.err or "Exception" in ended.err:
            return f"{words[0]} ended with {ended.code}: {ended.err[-300:]}"
    wrong = subject.finish(run, kind)
    return wrong or ("" if machine.mute or ended.out == said else f"it writes {ended.out!r:.80}")


def _run(machine: Machine, words: Sequence[object], env: Mapping[str, str]) -> Ended:
    if not machine.deaf:
        return commands.run(*words, env=env, before=machine.before)
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as pipe:
        return commands.run(*words, env=env, stderr=pipe)


def _prepared(machine: Machine, subject: Subject, place: Path) -> Machine | None:
    """The machine with its places filled in; None where this one cannot play it."""
    variables, before = dict(machine.variables), list(machine.before)
    if variables.get("LD_PRELOAD") == "SHIM":
        library = subject.folder / "clock.so"
        if shutil.which("cc") is None:
            return None
        source = library.with_suffix(".c")
        source.write_text(SHIM, encoding="ascii")
        subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
        variables["LD_PRELOAD"] = str(library)
    if before and before[0] in ("unshare", "setpriv"):
        if shutil.which(before[0]) is None or os.getuid() != 0:
            return None
        before = [str(place) if word == "PLACE" else word for word in before]
        tried = subprocess.run([*before, sys.executable, "-c", "import gptrilogy"], capture_output=True, check=False)
        if tried.returncode:
            return None
    return Machine(machine.name, variables, tuple(before), machine.mute, machine.deaf)
