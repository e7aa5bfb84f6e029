#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
"""Boot one guest, run one command in it, be its exit status.

Called by run. Two streams come
out of a guest: the command's output, passed on as it comes, and the kernel log,
watched line by line (guest-init marks start and end in it). Whatever happens,
the guest ends with this process: its first process gets SIGKILL when we die.
"""

import argparse
import os
import pathlib
import re
import selectors
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
import kernels  # noqa: E402

BAD_EXIT = 86  # what the kernel log says counts more than what the command says

BAD = re.compile("|".join((
    r"\bWARNING: ", r"\bBUG\b", r"\bKASAN: ", r"\bUBSAN: ", r"\bKFENCE: ", r"\bOops\b", r"\bODEBUG: ",
    r"kernel BUG at", r"Kernel panic", r"general protection fault",
    r"scheduling while atomic", r"sleeping function called from invalid context",
    r"possible (recursive|circular) locking", r"possible irq lock inversion",
    r"-safe -> .*-unsafe lock order", r"inconsistent lock state", r"suspicious RCU usage",
    r"held lock freed", r"lock held when returning to user space", r"bad unlock balance",
    r"Invalid wait context", r"INFO: task .* blocked for more than",
    r"detected stalls? on", r"self-detected stall", r"soft lockup", r"hard LOCKUP",
    r"refcount_t: ", r"list_(add|del) corruption", r"Bad page (state|map)",
    r"unregister_netdevice: waiting for", r"kmemleak: unreferenced object",
    r"Modules linked in:", r"Fixing recursive fault")))

MARK = re.compile(r"mirage-vm: (start|exit|fail) ?(.*)")


def say(text):
    print(f"mirage: {text}", file=sys.stderr, flush=True)


def parse():
    p = argparse.ArgumentParser(
        prog="tests/vm/run", usage="%(prog)s [options] -- COMMAND [ARG...]",
        description="Run COMMAND in a guest that has mirage0 and rxe0 on veth0 (10.0.0.1/24).",
        epilog="Exit status: the command's own; 86 when the kernel complained, died or hung.")
    p.add_argument("--kernel", default="default", type=kernels.one, metavar="NAME",
                   help=" ".join(k.name for k in kernels.KERNELS) +
                   f" (default: {kernels.one('default').name})")
    p.add_argument("--icount", action="store_true",
                   help="QEMU's clock counts instructions: slow, but figures repeat within 1%%")
    p.add_argument("--smp", type=int, help="CPUs (2; uml 1)")
    p.add_argument("--mem", type=int, default=2048, metavar="MIB")
    p.add_argument("--timeout", type=float, default=600, metavar="S")
    p.add_argument("--share", type=pathlib.Path, metavar="DIR", help="read-only at /mnt/share")
    p.add_argument("--out", type=pathlib.Path, metavar="DIR", help="writable at /mnt/out")
    p.add_argument("--hosts", type=int, default=1, choices=[1, 2],
                   help="2: two network namespaces, a and b, see tests/wire/hosts.sh")
    p.add_argument("--peer", default="mirage", choices=["mirage", "rxe"], help="with --hosts 2: b's device")
    p.add_argument("--no-mirage", action="store_true", help="do not load mirage")
    p.add_argument("command", nargs=argparse.REMAINDER)
    args = p.parse_args()
    if args.command[:1] == ["--"]:
        args.command = args.command[1:]
    if not args.command:
        p.error("no command; try: tests/vm/run -- ibv_devices")
    args.uml = args.kernel.kind == "uml"
    args.debug = "debug" in args.kernel.groups
    if args.hosts == 2 and args.no_mirage:
        p.error("--hosts 2 needs mirage: one of the two hosts has it")
    if args.icount and args.uml:
        stock = [k.name for k in kernels.KERNELS if k.kind == "stock"]
        p.error(f"--icount needs a QEMU kernel: {', '.join(stock)}")
    if args.icount and (args.smp or 1) != 1:
        p.error("--icount has one CPU")
    if args.uml and args.debug and (args.smp or 1) != 1:
        p.error(f"{args.kernel.name} has one CPU: lockdep under an SMP UML warns about UML itself")
    args.smp = args.smp or (1 if args.uml or args.icount else 2)
    if args.share and not args.share.is_dir():
        p.error(f"--share {args.share}: no such directory")
    return args


def cpu_mhz():
    text = pathlib.Path("/proc/cpuinfo").read_text()
    found = re.search(r"cpu MHz\s*:\s*([\d.]+)", text)
    return found[1] if found else "2000.000"


class Guest:
    def __init__(self, args, cache, build, top):
        self.args, self.cache, self.build, self.top = args, cache, build, top
        # ours alone: removed whole at the end
        self.run = pathlib.Path(tempfile.mkdtemp(prefix=f"run.{os.getpid()}.", dir=cache / "tmp"))
        self.log = []
        self.bad = None
        self.result = None
        self.started = False
        self.process = None

    def prepare(self):
        a, vm = self.args, self.run / "vm"
        vm.mkdir()
        (self.run / "empty").mkdir()
        if a.out:
            a.out.mkdir(parents=True, exist_ok=True)
        self.out = a.out.resolve() if a.out else self.run / "out"
        self.out.mkdir(exist_ok=True)
        self.share = a.share.resolve() if a.share else self.run / "empty"
        shutil.copy(self.top / "tests/vm/guest-init", vm / "init")
        (vm / "command").write_text(f"exec {shlex.join(a.command)}\n")
        modules = f"/mnt/build/modules/{a.kernel.name}"
        env = {
            "HOSTFS": "/mirage-vm" if a.uml else "",
            "OUTPUT": "tty1" if a.uml else "ttyS1",
            "CPU_MHZ": cpu_mhz(),
            "KMEMLEAK": "1" if a.debug and not a.no_mirage else "",
            # With icount the guest's clock runs ahead whenever it is idle.
            "HANG_REPORT": "" if a.icount else str(max(5, int(a.timeout) - 10)),
            "HOSTS": str(a.hosts),
            "PEER": a.peer,
            "MIRAGE_KERNEL": a.kernel.name,
            "MIRAGE_MODULES": modules,
            "MIRAGE_KO": "" if a.no_mirage else f"{modules}/mirage.ko",
        }
        (vm / "env").write_text("".join(f"export {k}={shlex.quote(v)}\n" for k, v in env.items()))
        with open(self.run / "swap", "wb") as f:
            f.truncate(256 << 20)

    def qemu(self, log, output, kvm):
        a, k = self.args, self.cache / "kernel" / self.args.kernel.name
        cmd = ["setpriv", "--pdeathsig", "KILL", *qemu_at(self.cache), "-nodefaults", "-no-user-config",
               "-display", "none", "-no-reboot", "-m", str(a.mem), "-smp", str(a.smp)]
        if a.icount:
            # QEMU 10's own choice, an AMD of family 6, is one whose rep Linux takes for slow:
            # 200 instructions more to clear a page, which a fault is measured against.
            cmd += ["-accel", "tcg", "-icount", "shift=0,sleep=off",
                    "-cpu", "max,family=15,model=107,stepping=1,-erms,-fsrm"]
        elif kvm:
            cmd += ["-accel", "kvm", "-cpu", "host"]
        else:
            cmd += ["-accel", "tcg,thread=multi", "-cpu", "max"]
        for fd in (log, output):
            cmd += ["-serial", f"file:/proc/self/fd/{fd}"]
        for name, path, mode in (("vm", self.run / "vm", "on"), ("src", self.top, "on"),
                                 ("build", self.build / "out", "on"), ("share", self.share, "on"),
                                 ("out", self.out, "off")):
            cmd += ["-fsdev", f"local,id={name},path={path},security_model=none,readonly={mode}",
                    "-device", f"virtio-9p-pci,fsdev={name},mount_tag={name}"]
        cmd += ["-drive", f"file.filename={self.cache}/guest.img,file.locking=off,format=raw,if=virtio,"
                          "snapshot=on,cache=unsafe",
                "-drive", f"file={self.run}/swap,format=raw,if=virtio,cache=unsafe",
                "-kernel", str(k / "vmlinuz"), "-initrd", str(k / "initrd"),
                "-append", "console=ttyS0 quiet loglevel=5 mitigations=off panic=-1 oops=panic "
                           "printk.devkmsg=on log_buf_len=1M nokaslr audit=0 "
                           "watchdog_thresh=30 rcupdate.rcu_cpu_stall_timeout=120"]
        return cmd

    def uml_command(self, log, output):
        a, k = self.args, self.cache / "kernel" / self.args.kernel.name
        root = self.cache / "root-build"
        # The kernel is linked against the build root's libc. The mounts and every
        # process of the guest end with this namespace's first process.
        script = f"""
            root={shlex.quote(str(root))} at=$root/mirage-vm
            mkdir -p "$at"
            mount -t tmpfs -o mode=755 tmpfs "$at"
            bind() {{ mkdir -p "$at/$1"; mount --bind -o "$3" "$2" "$at/$1"; }}
            bind vm {shlex.quote(str(self.run / 'vm'))} ro
            bind src {shlex.quote(str(self.top))} ro
            bind build {shlex.quote(str(self.build / 'out'))} ro
            bind share {shlex.quote(str(self.share))} ro
            bind modules {shlex.quote(str(k / 'mods/lib/modules'))} ro
            bind out {shlex.quote(str(self.out))} rw
            bind run {shlex.quote(str(self.run))} rw
            touch "$at/linux" "$at/guest.img"
            mount --bind {shlex.quote(str(k / 'linux'))} "$at/linux"
            mount --bind {shlex.quote(str(self.cache / 'guest.img'))} "$at/guest.img"
            mkdir "$at/mem"
            mount -t tmpfs tmpfs "$at/mem"
            mount -t proc proc "$root/proc"
            mount --rbind /dev "$root/dev"
            exec chroot "$root" env -i TMPDIR=/mirage-vm/mem HOME=/mirage-vm/mem "$@"
        """
        linux = ["/mirage-vm/linux", f"mem={a.mem}M", "root=/dev/ubda", "rw",
                 "init=/usr/sbin/mirage-init", "vm=/mirage-vm/vm",
                 "ubd0=/mirage-vm/run/cow,/mirage-vm/guest.img", "ubd1=/mirage-vm/run/swap",
                 "uml_dir=/mirage-vm/mem", "con=null", "con0=null,fd:1", f"con1=null,fd:{output}",
                 "quiet", "loglevel=5", "seccomp=on", "panic=-1", "oops=panic",
                 "printk.devkmsg=on"]
        if a.smp > 1:
            linux.append(f"ncpus={a.smp}")
        return ["setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--pid", "--fork", "--kill-child",
                "--propagation", "private", "bash", "-ec", script, "uml"] + linux

    def start(self, kvm):
        log_r, log_w = os.pipe()
        out_r, out_w = os.pipe()
        cmd = self.uml_command(log_w, out_w) if self.args.uml else self.qemu(log_w, out_w, kvm)
        # stderr joins the log: what QEMU or UML say about themselves explains a dead guest
        self.process = subprocess.Popen(
            cmd, stdin=subprocess.DEVNULL, stdout=log_w, stderr=log_w, pass_fds=(log_w, out_w),
            env={**os.environ, "TMPDIR": str(self.run)}, start_new_session=True)
        os.close(log_w)
        os.close(out_w)
        return log_r, out_r

    def line(self, text):
        self.log.append(text)
        mark = MARK.search(text)
        if mark:
            if mark[1] == "start":
                self.started = True
            elif mark[1] == "exit":
                self.result = int(mark[2])
            else:
                self.result = BAD_EXIT
                self.bad = self.bad if self.bad is not None else len(self.log) - 1
        elif self.bad is None and BAD.search(text):
            self.bad = len(self.log) - 1

    def watch(self, log_r, out_r, deadline):
        """Pass both streams on until the guest says exit, closes its log or is late."""
        partial, panicked = b"", False
        with selectors.DefaultSelector() as sel:
            sel.register(log_r, selectors.EVENT_READ)
            sel.register(out_r, selectors.EVENT_READ)
            while self.result is None:
                left = deadline - time.monotonic()
                if left <= 0:
                    return "the guest died" if panicked else f"timed out after {self.args.timeout:g} s"
                for key, _ in sel.select(min(left, 1)):
                    data = os.read(key.fd, 65536)
                    if key.fd == out_r:
                        if not data:
                            sel.unregister(out_r)
                        self.emit(data)
                    elif data:
                        *lines, partial = (partial + data).split(b"\n")
                        for text in lines:
                            self.line(text.decode(errors="replace").rstrip("\r"))
                        if not panicked and b"Kernel panic" in data:
                            # The rest of what it has to say comes at once or never.
                            panicked, deadline = True, min(deadline, time.monotonic() + 2)
                    else:
                        self.line(partial.decode(errors="replace"))
                        return "the guest died"
        return None

    @staticmethod
    def emit(data):
        while data:
            data = data[os.write(1, data):]

    def drain(self, out_r):
        """The guest emptied its line before it said exit: take what the pipe holds."""
        os.set_blocking(out_r, False)
        quiet_until = time.monotonic() + 0.05
        while time.monotonic() < quiet_until:
            try:
                data = os.read(out_r, 65536)
            except BlockingIOError:
                time.sleep(0.01)
                continue
            if not data:
                return
            self.emit(data)
            quiet_until = time.monotonic() + 0.05

    def end(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
        if self.process:
            self.process.wait()
        shutil.rmtree(self.run, ignore_errors=True)

    def uml_complains_of_itself(self, at):
        """UML's flush_tlb_mm() walks the VMAs unlocked when a file's pages are unmapped."""
        lines = self.log[at:at + 100]
        return ("suspicious RCU usage" in self.log[at] and
                any("flush_tlb_mm+" in line for line in lines) and
                not any("[mirage" in line or "[mirror" in line for line in lines))

    def first_complaint(self):
        for at in range(self.bad or 0, len(self.log)):
            if at == self.bad or BAD.search(self.log[at]):
                if not self.uml_complains_of_itself(at):
                    return at
        return None

    def report(self, trouble):
        if self.bad is not None:
            self.bad = self.first_complaint()
        if not trouble and self.bad is None:
            return self.result
        say(f"{self.args.kernel.name}: {trouble or 'the kernel complained'}; its log:")
        first = max(0, len(self.log) - 60) if self.bad is None else max(0, self.bad - 5)
        shown = self.log[first:first + 100]
        if trouble and first + 100 < len(self.log):
            shown += ["..."] + self.log[max(first + 100, len(self.log) - 40):]
        for text in shown:
            print(f"  | {text}", file=sys.stderr)
        sys.stderr.flush()
        return BAD_EXIT


def qemu_at(cache):
    """Debian 13's QEMU with the libraries it was built for, on whatever host."""
    usr = cache / "qemu/usr"
    return [str(x) for x in (usr / "lib64/ld-linux-x86-64.so.2",
                             "--library-path", usr / "lib/x86_64-linux-gnu",
                             usr / "bin/qemu-system-x86_64",
                             "-L", usr / "share/qemu", "-L", usr / "share/seabios")]


def kvm_works(cache, kernel):
    """Does /dev/kvm run a stock kernel? Found by trying, once per boot of this machine."""
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return False
    boot = pathlib.Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    answer = cache / "stamps" / "kvm"
    if answer.exists() and answer.read_text().split()[0] == boot:
        return answer.read_text().split()[1] == "yes"
    k = cache / "kernel" / kernel.name
    try:
        # With no disk the initramfs ends, the kernel panics and QEMU goes.
        done = subprocess.run(
            [*qemu_at(cache), "-nodefaults", "-display", "none", "-no-reboot", "-m", "256",
             "-accel", "kvm", "-cpu", "host", "-serial", "stdio", "-kernel", str(k / "vmlinuz"),
             "-initrd", str(k / "initrd"), "-append", "console=ttyS0 panic=-1"],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=25)
        works = b"Run /init" in done.stdout
    except subprocess.TimeoutExpired:
        works = False
    answer.write_text(f"{boot} {'yes' if works else 'no'}\n")
    say("KVM runs a stock kernel here" if works else "KVM does not run a stock kernel here: using TCG")
    return works


def build_parts(top, args):
    """The kernel, the module and the provider must be there. A test program that does
    not compile is the trouble of the one who runs it."""
    def build(*targets):
        process = subprocess.Popen([top / "tests/vm/build", *targets],
                                   stdin=subprocess.DEVNULL, stdout=sys.stderr)
        try:
            return process.wait() == 0
        finally:
            # a signal to us alone: build ends its own children
            if process.poll() is None:
                process.terminate()
                process.wait()

    kernel = args.kernel.name
    if not (build(f"boot-{kernel}") if args.no_mirage else build(kernel, "provider")):
        sys.exit(1)
    if args.no_mirage and not build(f"modules-{kernel}"):
        say("going on without the modules")
    if not build("programs"):
        say("going on without the programs that do not compile")


def sweep(cache):
    """What runs and builds left that were killed without a chance to clean up."""
    for d in (cache / "tmp").glob("*.*.*"):
        if not pathlib.Path("/proc", d.name.split(".")[1]).exists():
            shutil.rmtree(d, ignore_errors=True)


def main():
    args = parse()
    cache, build, top = (pathlib.Path(os.environ[f"MIRAGE_VM_{x}"]) for x in ("CACHE", "BUILD", "TOP"))
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda n, _: sys.exit(128 + n))
    sweep(cache)
    build_parts(top, args)
    kvm = not args.uml and not args.icount and kvm_works(cache, args.kernel)
    guest = Guest(args, cache, build, top)
    try:
        guest.prepare()
        log_r, out_r = guest.start(kvm)
        trouble = guest.watch(log_r, out_r, time.monotonic() + args.timeout)
        guest.drain(out_r)
    finally:
        guest.end()
    sys.exit(guest.report(trouble))


if __name__ == "__main__":
    main()
