#!/usr/bin/env python3
"""What alumet costs, in one run on this machine, beside perf stat, hyperfine and GNU time.

    cargo build --release && python3 benches/overhead.py [--quick] [target/release/alumet [another alumet]]

Prints Markdown. Another alumet, of an earlier version, is measured beside it. Every round runs the command bare and under each tool, in random order, so that a machine whose speed
drifts is the same for all; "added" and "ratio" compare with the bare command of the same round.
Tools that are not installed are left out and named. Needs Python and rustc; perf, hyperfine and GNU time come from
Debian's packages linux-perf, hyperfine and time.
"""

import glob
import json
import os
import platform
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

QUICK = "--quick" in sys.argv
PLACES = [a for a in sys.argv[1:] if not a.startswith("-")]
HERE = os.path.dirname(os.path.abspath(__file__))
ALUMET, *BEFORE = [os.path.abspath(place) for place in PLACES or [os.path.join(HERE, "../target/release/alumet")]]
TMP = tempfile.mkdtemp(prefix="alumet-bench-")
NULL = subprocess.DEVNULL

LOOP = ["sh", "-c", "i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done"]
FORKS = ["sh", "-c", "i=0; while [ $i -lt 2000 ]; do /bin/true; i=$((i+1)); done"]


def tools():
    """Name -> what stands in front of a command. Those that are missing here are named."""
    found = {
        "bare": [],
        "alumet exec -q": [ALUMET, "exec", "-q", "--"],
        "alumet exec": [ALUMET, "exec", "--"],
    }
    for before in BEFORE:
        found["before: alumet exec -q"] = [before, "exec", "-q", "--"]
        found["before: alumet exec"] = [before, "exec", "--"]
    for name, front in {
        "perf stat": ["perf", "stat", "-o", "/dev/null", "--"],
        "hyperfine -N": ["hyperfine", "-N", "-r1", "-w0", "--style=none"],
        "GNU time": ["/usr/bin/time", "-o", "/dev/null"],
    }.items():
        if shutil.which(front[0]):
            found[name] = front
        else:
            print(f"({name} is not installed and left out)\n")
    return found


def cost(front, command):
    """Seconds from start to end of one run, and of CPU time. Hyperfine takes its command as one word."""
    words = front + ([" ".join(quote(w) for w in command)] if front[:1] == ["hyperfine"] else command)
    null = os.open("/dev/null", os.O_RDWR)
    streams = [(os.POSIX_SPAWN_DUP2, null, stream) for stream in range(3)]
    start = time.perf_counter()
    pid = os.posix_spawnp(words[0], words, os.environ, file_actions=streams)
    _, status, usage = os.wait4(pid, 0)
    wall = time.perf_counter() - start
    os.close(null)
    if status:
        sys.exit(f"{words} has failed")
    return wall, usage.ru_utime + usage.ru_stime


def quote(word):
    return "'" + word.replace("'", "'\\''") + "'"


def added(title, command, rounds):
    times = {name: [] for name in TOOLS}
    for i in range(rounds + 1):
        order = list(TOOLS.items())
        random.shuffle(order)
        for name, front in order:
            t = cost(front, command)
            if i:  # the first round warms up
                times[name].append(t)
    bare = statistics.median(wall for wall, _ in times["bare"])
    print(f"| {title}: {bare * 1e3:.1f} ms bare, {rounds} rounds | added, median [quartiles] | ratio to bare "
          "| CPU time added |")
    print("|---|---:|---:|---:|")
    for name, of_tool in times.items():
        if name == "bare":
            continue
        pairs = list(zip(of_tool, times["bare"]))
        low, gain, high = statistics.quantiles([a - b for (a, _), (b, _) in pairs], n=4)
        ratio = statistics.median(a / b for (a, _), (b, _) in pairs)
        cpu = statistics.median(a - b for (_, a), (_, b) in pairs)
        print(f"| {name} | {gain * 1e3:+.2f} ms [{low * 1e3:+.2f}, {high * 1e3:+.2f}] | {ratio:.3f} "
              f"| {cpu * 1e3:+.2f} ms |")
    print()


def stop_latency(rounds):
    """From the application's last action, a byte in a pipe, to alumet's end: an upper bound, its exit is in it."""
    latencies = []
    for _ in range(rounds):
        r, w = os.pipe()
        words = [ALUMET, "exec", "-q", "--", "sh", "-c", f"sleep 0.05; printf x >&{w}"]
        process = subprocess.Popen(words, pass_fds=[w], stdout=NULL, stderr=NULL)
        os.close(w)
        os.read(r, 1)
        start = time.perf_counter()
        process.wait()
        latencies.append(time.perf_counter() - start)
        os.close(r)
    median, worst = statistics.median(latencies), max(latencies)
    print(f"Stop: alumet ends {median * 1e3:.2f} ms (median; at most {worst * 1e3:.2f} ms) after the application's last "
          f"action, {rounds} runs.\n")


def profile(arguments, command, alumet=ALUMET):
    """What a run says of itself."""
    path = os.path.join(TMP, "profile.json")
    subprocess.run([alumet, "exec", "-q", "--json", path, *arguments, "--", *command], stdout=NULL, stderr=NULL, check=True)
    with open(path) as file:
        run = json.load(file)["runs"][0]
    os.unlink(path)
    return run


def threads(pid):
    """The CPU time of all threads of a process in nanoseconds, and how often they have given up the CPU to wait."""
    time_ns, waits = 0, 0
    for tid in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{tid}/schedstat") as schedstat:
            time_ns += int(schedstat.read().split()[0])
        with open(f"/proc/{pid}/task/{tid}/status") as status:
            waits += next(int(line.split()[1]) for line in status if line.startswith("voluntary_ctxt_switches"))
    return time_ns, waits


def while_it_samples(command, seconds):
    """The share of a core and the wake-ups a second, from one second after the start on."""
    process = subprocess.Popen(command, stdout=NULL, stderr=NULL)
    time.sleep(0.95)
    begun, before = time.perf_counter(), threads(process.pid)
    time.sleep(seconds)
    after, took = threads(process.pid), time.perf_counter() - begun
    process.terminate()
    process.wait()
    return (after[0] - before[0]) / 1e9 / took, (after[1] - before[1]) / took


def energy():
    """The counters of energy that alumet reads, as the bare loop wants them."""
    pmu = "/sys/bus/event_source/devices/power/"
    if not os.path.exists(pmu + "type"):
        zones = glob.glob("/sys/class/powercap/intel-rapl*:*/energy_uj")
        return [zone for zone in zones if os.access(zone, os.R_OK)]
    with open(pmu + "type") as file:
        kind = file.read().strip()
    words = []
    for path in sorted(glob.glob(pmu + "events/energy-*")):
        if "." not in os.path.basename(path):
            with open(path) as file:
                words.append(f"energy={kind}:{int(file.read().split('=')[1], 16)}")
    return words


def bare_loop(interval_us, seconds, events):
    binary = os.path.join(TMP, "bare_loop")
    if not os.path.exists(binary):
        subprocess.run(["rustc", "--edition=2024", "-O", "-o", binary, os.path.join(HERE, "bare_loop.rs")], check=True)
    target = subprocess.Popen(["sleep", str(seconds + 5)])
    pid = f"/proc/{target.pid}/"
    mount = "/sys/fs/cgroup/unified" if os.path.exists("/sys/fs/cgroup/unified") else "/sys/fs/cgroup"
    cgroup = os.path.join(mount, "bare-loop")
    try:
        os.mkdir(cgroup)
        with open(cgroup + "/cgroup.procs", "w") as procs:
            procs.write(str(target.pid))
    except OSError:
        cgroup = mount
    # Task clock, switches, migrations, faults; cycles, instructions, branches and their misses, cache references and misses.
    counters = [f"event={e}" for e in ["1:1", "1:3", "1:4", "1:2", "0:0", "0:1", "0:4", "0:5", "0:2", "0:3"]]
    words = [f"every={interval_us}", pid + "stat", cgroup + "/cgroup.procs", cgroup + "/cpu.stat",
             *(counters if events else []),
             # At short intervals, the costly ones are read less often.
             f"every={max(interval_us, 10_000)}", "/proc/sys/kernel/ns_last_pid", pid + "status", pid + "io",
             "/proc/stat", "/proc/meminfo",
             f"every={100_000 if interval_us == 200_000 else interval_us}", *energy()]
    words = [word for word in words if "=" in word or os.path.exists(word)]
    result = while_it_samples([binary, str(target.pid), str((seconds + 3) * 1000), *words], seconds)
    target.kill()
    target.wait()
    if cgroup != mount:
        os.rmdir(cgroup)
    return result


def sampling(seconds, rounds):
    print(f"| sampling an application that sleeps, all default sources, with CSV, median of {rounds} times {seconds} s "
          "| alumet, of one core | bare loop | ratio | wake-ups a second | bare loop's |")
    print("|---|---:|---:|---:|---:|---:|")
    csv, path = os.path.join(TMP, "series.csv"), os.path.join(TMP, "profile.json")
    for name, options, micros in [
        ("1 Hz", ["-i", "1s"], 1_000_000),
        ("default (200 ms)", [], 200_000),
        ("10 Hz", ["-i", "100ms"], 100_000),
        ("1 kHz", ["-i", "1ms"], 1_000),
        ("1 kHz, no events", ["-i", "1ms", "--without", "perf"], 1_000),
    ]:
        bare, own = [], {alumet: [] for alumet in [ALUMET, *BEFORE]}
        for _ in range(rounds):
            bare.append(bare_loop(micros, seconds, "perf" not in options))
            for alumet, results in own.items():
                words = [alumet, "exec", "-q", "-o", csv, "--json", path, *options, "--", "sleep", str(seconds + 5)]
                results.append(while_it_samples(words, seconds))
                os.unlink(csv)
                os.unlink(path)
        middle = lambda results: [statistics.median(values) for values in zip(*results)]
        least = middle(bare)
        for alumet, results in own.items():
            share, woken = middle(results)
            title = name if alumet == ALUMET else f"{name}, before"
            print(f"| {title} | {share:.3%} | {least[0]:.3%} | {share / least[0]:.2f} | {woken:.1f} | {least[1]:.1f} |")
    print()
    for name, options in [("1 kHz", ["-i", "1ms"]), ("10 kHz", ["-i", "100us"])]:
        own = profile(["-o", csv, *options], ["sleep", str(seconds)])["self"]
        os.unlink(csv)
        print(f"{name}: {own['ticks']} ticks, {own['missed']} missed, 99 % at most {own['late_p99_us']:.0f} µs late.")
    print()


def memory():
    idle = profile([], ["sleep", "2"])["self"]["rss_bytes"]
    churn = profile(["-i", "10ms", "--per-process"],
                    ["sh", "-c", "i=0; while [ $i -lt 10000 ]; do /bin/true; i=$((i+1)); done"])["self"]["rss_bytes"]
    csv = os.path.join(TMP, "series.csv")
    fast = profile(["-i", "100us", "-o", csv], ["sleep", "2"])["self"]["rss_bytes"]
    print(f"Memory, peak resident: {idle / 1e6:.1f} MB for `sleep 2`, {churn / 1e6:.1f} MB while 10,000 short processes "
          f"come and go with `--per-process -i 10ms`, {fast / 1e6:.1f} MB at 10 kHz with CSV.\n")
    print(f"Binary: {os.path.getsize(ALUMET) / 1e6:.2f} MB.\n")


def machine():
    model = "unknown CPU"
    with open("/proc/cpuinfo") as file:
        for line in file:
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
                break
    version = subprocess.run([ALUMET, "--version"], stdout=subprocess.PIPE, text=True, check=True).stdout.strip()
    print(f"{time.strftime('%Y-%m-%d')}, {version}, {model}, {os.cpu_count()} CPUs, Linux {platform.release()}.\n")


machine()
TOOLS = tools()
added("`true`", ["true"], 20 if QUICK else 100)
added("CPU-bound loop", LOOP, 3 if QUICK else 15)
added("2,000 forks", FORKS, 2 if QUICK else 9)
stop_latency(10 if QUICK else 50)
sampling(*((2, 1) if QUICK else (5, 5)))
memory()
shutil.rmtree(TMP)
