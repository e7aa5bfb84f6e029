#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
"""Run the suites of tests/suites and add up what they say. Called by tests/check."""

import argparse
import collections
import concurrent.futures
import os
import pathlib
import re
import shlex
import signal
import subprocess
import sys
import threading
import time

sys.dont_write_bytecode = True
import kernels  # noqa: E402

TOP = pathlib.Path(__file__).resolve().parents[2]
NO_GUEST = ("here", "host")
TALLY = re.compile(r"^\s*(\d+) passed, (\d+) failed, (\d+) skipped", re.M)
HOST_GRACE = 120  # s beyond a guest's own timeout: builds of our code come before its boot

Job = collections.namedtuple("Job", "suite kernel timeout options command")


def places(words):
    """Where a suite runs: the second column of suites, as names. None: a word is wrong."""
    found, out = [], set()
    for word in words.split():
        these = [word] if word in NO_GUEST else [k.name for k in kernels.named(word.removeprefix("!"))]
        if not these:
            return None
        if word.startswith("!"):
            out.update(these)
        else:
            found += [name for name in these if name not in found]
    return [name for name in found if name not in out]


def read_suites(path):
    jobs = []
    for number, line in enumerate(path.read_text().splitlines(), 1):
        line = line.partition("#")[0].strip()
        if not line:
            continue
        fields = [f.strip() for f in line.split("|", 4)]
        if len(fields) != 5 or not fields[2].isdigit():
            sys.exit(f"mirage: {path}:{number}: want SUITE | KERNELS | SECONDS | OPTIONS | COMMAND")
        name, where, timeout, options, command = fields
        names = places(where)
        if not names:
            known = [*NO_GUEST, *(k.name for k in kernels.KERNELS)]
            sys.exit(f"mirage: {path}:{number}: no kernels '{where}'; known: {', '.join(known)}, and groups")
        jobs += [Job(name, kernel, int(timeout), shlex.split(options), command) for kernel in names]
    return jobs


def meant(job, word):
    """Does SUITE, SUITE@KERNEL or @KERNEL mean this job? KERNEL may be a group."""
    suite, at, where = word.partition("@")
    return suite in ("", job.suite) and (not at or job.kernel in (places(where) or ()))


def chosen(jobs, wanted):
    for word in wanted:
        if not any(meant(j, word) for j in jobs):
            sys.exit(f"mirage: no suite '{word}'; tests/check --list names them")
    return [j for j in jobs if not wanted or any(meant(j, word) for word in wanted)]


class Runner:
    def __init__(self, logs, total):
        self.logs, self.total = logs, total
        self.running, self.done, self.lock, self.stopped = set(), 0, threading.Lock(), False
        self.passed = self.failed = self.skipped = 0

    def run(self, job):
        log = self.logs / f"{job.suite}-{job.kernel}.log"
        if job.kernel == "here":
            cmd, limit = ["bash", "-c", job.command], job.timeout
        elif job.kernel == "host":
            cmd, limit = [TOP / "tests/vm/build", "exec", "bash", "-c", job.command], job.timeout
        else:
            cmd = [TOP / "tests/vm/run", "--kernel", job.kernel, "--timeout", str(job.timeout),
                   *job.options, "--", "bash", "-c", job.command]
            limit = job.timeout + HOST_GRACE
        start = time.monotonic()
        with open(log, "wb") as f:
            with self.lock:
                if self.stopped:
                    return
                # its own session: whoever stops us stops it through stop()
                process = subprocess.Popen(cmd, stdin=subprocess.DEVNULL, stdout=f, stderr=f, cwd=TOP,
                                           start_new_session=True)
                self.running.add(process)
            try:
                status = process.wait(limit)
            except subprocess.TimeoutExpired:
                self.end(process)
                status = "timeout"
            self.running.discard(process)
        if not self.stopped:
            self.judge(job, log, status, time.monotonic() - start)

    def judge(self, job, log, status, seconds):
        text = log.read_text(errors="replace")
        tallies = TALLY.findall(text)
        passed, failed, skipped = map(int, tallies[-1]) if tallies else (0, 0, 0)
        why = ""
        if status == 86:
            failed, why = failed + 1, "the kernel complained, died or hung"
        elif not tallies:
            failed, why = failed + 1, f"no tally (exit status {status})"
        elif status and not failed:
            failed, why = 1, f"exit status {status}"
        with self.lock:
            self.passed += passed
            self.failed += failed
            self.skipped += skipped
            self.done += 1
            print(f"{'FAIL' if failed else 'ok  '} [{self.done}/{self.total}] {job.suite:<12} "
                  f"{job.kernel:<10}{seconds:5.0f} s  "
                  f"{passed} passed, {failed} failed, {skipped} skipped{'; ' + why if why else ''}",
                  flush=True)
            if failed:
                for line in text.splitlines()[-60:]:
                    print(f"    {line}")
                print(f"  all of it: {log}", flush=True)

    @staticmethod
    def end(process):
        """vm/run cleans up on SIGTERM; the group catches what it leaves."""
        for number, grace in ((signal.SIGTERM, 10), (signal.SIGKILL, 10)):
            try:
                os.killpg(process.pid, number)
                process.wait(grace)
                return
            except (ProcessLookupError, subprocess.TimeoutExpired):
                continue

    def stop(self):
        with self.lock:
            self.stopped = True
        for process in list(self.running):
            self.end(process)


def prepare(jobs):
    """Everything that many guests wait for, before the first one. What cannot be built
    here makes the suites fail that need it."""
    wanted = {j.kernel for j in jobs}
    guests = [k.name for k in kernels.KERNELS if k.name in wanted]
    # What runs on this machine boots the guests that its options name.
    booted = {name for j in jobs if j.kernel == "here" for name in j.options}
    targets = [["exec", "true"], *([f"boot-{k}"] for k in sorted(booted)),
               *([f"boot-{k}"] for k in guests), *([k] for k in guests)]
    if guests:
        targets.append(["user"])
    for target in targets:
        subprocess.run([TOP / "tests/vm/build", *target], stdin=subprocess.DEVNULL, check=False)


def main():
    p = argparse.ArgumentParser(prog="tests/check", description="Run the suites of tests/suites.")
    p.add_argument("-j", type=int, default=2, metavar="N", help="guests at a time (2)")
    p.add_argument("--list", action="store_true", help="name the suites")
    p.add_argument("suites", nargs="*", metavar="SUITE[@KERNEL]", help="these only; @KERNEL: all on one kernel")
    args = p.parse_args()
    jobs = chosen(read_suites(TOP / "tests/suites"), args.suites)
    if args.list:
        for job in jobs:
            print(f"{job.suite}@{job.kernel}")
        return 0
    logs = pathlib.Path(os.environ["MIRAGE_VM_BUILD"]) / "check"
    logs.mkdir(parents=True, exist_ok=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    start = time.monotonic()
    prepare(jobs)
    print(f"{len(jobs)} suites in guests, {args.j} at a time", flush=True)
    runner = Runner(logs, len(jobs))
    with concurrent.futures.ThreadPoolExecutor(args.j) as pool:
        try:
            for future in [pool.submit(runner.run, job) for job in jobs]:
                future.result()
        except BaseException:
            runner.stop()
            raise
    print(f"{(time.monotonic() - start) / 60:.1f} min")
    print(f"{runner.passed} passed, {runner.failed} failed, {runner.skipped} skipped")
    return 1 if runner.failed else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
