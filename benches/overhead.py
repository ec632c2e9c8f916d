#!/usr/bin/env python3
"""What alumet costs, in one run on this machine, beside perf stat, hyperfine and GNU time.

    cargo build --release && python3 benches/overhead.py [--quick] [target/release/alumet [another alumet]]

Prints Markdown. Another alumet, of an earlier version, is measured beside it. Every round runs the command bare and under each tool, in random order, so that a machine whose speed
drifts is the same for all; "added" and "ratio" compare with the bare command of the same round.
Tools that are not installed are left out and named. Needs Python and rustc; perf, hyperfine and GNU time come from
Debian's packages linux-perf, hyperfine and time.
"""

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


def profile(arguments, command, alumet=ALUMET, seconds=0):
    """What a run says of itself, and of a run of so many seconds how often it was woken in the second half of it."""
    path = os.path.join(TMP, "profile.json")
    process = subprocess.Popen([alumet, "exec", "-q", "--json", path, *arguments, "--", *command],
                               stdout=NULL, stderr=NULL)
    waits = []
    for _ in range(2 if seconds else 0):
        time.sleep(seconds / 2 - 0.1)
        waits.append((time.perf_counter(), waits_of(process.pid)))
    if process.wait():
        sys.exit("alumet has failed")
    with open(path) as file:
        run = json.load(file)["runs"][0]
    os.unlink(path)
    if waits:
        run["woken_per_s"] = (waits[1][1] - waits[0][1]) / (waits[1][0] - waits[0][0])
    return run


def waits_of(pid):
    """How often the threads of a process have given up the CPU to wait."""
    total = 0
    for tid in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{tid}/status") as status:
            total += next(int(line.split()[1]) for line in status if line.startswith("voluntary_ctxt_switches"))
    return total


def bare_loop(interval_us, seconds):
    binary = os.path.join(TMP, "bare_loop")
    if not os.path.exists(binary):
        subprocess.run(["rustc", "--edition=2024", "-O", "-o", binary, os.path.join(HERE, "bare_loop.rs")], check=True)
    target = subprocess.Popen(["sleep", str(seconds + 1)])
    pid = f"/proc/{target.pid}/"
    cgroup = "/sys/fs/cgroup/unified" if os.path.exists("/sys/fs/cgroup/unified") else "/sys/fs/cgroup"
    always = [pid + "stat", cgroup + "/cpu.stat"]
    rarely = [pid + "status", pid + "io", cgroup + "/cgroup.procs", "/proc/stat", "/proc/meminfo"]
    files = [path for path in [*always, "--", *rarely] if path == "--" or os.path.exists(path)]
    output = subprocess.run([binary, str(interval_us), str(seconds * 1000), *files], check=True, stdout=subprocess.PIPE)
    target.kill()
    target.wait()
    return float(output.stdout) / seconds


def sampling(seconds):
    print(f"| sampling for {seconds} s, all default sources, with CSV | alumet, of one core | bare loop | ratio "
          "| wake-ups a tick | ticks | missed | late p99 |")
    print("|---|---:|---:|---:|---:|---:|---:|---:|")
    bases = {alumet: statistics.median(profile([], ["true"], alumet)["self"]["cpu_s"] for _ in range(11))
             for alumet in [ALUMET, *BEFORE]}
    for name, options, micros in [
        ("1 Hz", ["-i", "1s"], 1_000_000),
        ("default (200 ms)", [], 200_000),
        ("10 Hz", ["-i", "100ms"], 100_000),
        ("1 kHz", ["-i", "1ms"], 1_000),
        ("1 kHz, no events", ["-i", "1ms", "--without", "perf"], 1_000),
        ("10 kHz", ["-i", "100us"], 100),
        ("10 kHz, no events", ["-i", "100us", "--without", "perf"], 100),
    ]:
        bare = bare_loop(micros, seconds)
        for alumet, base in bases.items():
            csv = os.path.join(TMP, "series.csv")
            run = profile(["-o", csv, *options], ["sleep", str(seconds)], alumet, seconds)
            os.unlink(csv)
            own = run["self"]
            share = (own["cpu_s"] - base) / run["wall_s"]
            # Sources of other intervals than the shortest tick as well.
            woken = run["woken_per_s"] * run["wall_s"] / max(1, own["ticks"] + own["missed"])
            title = name if alumet == ALUMET else f"before: {name}"
            print(f"| {title} | {share:.2%} | {bare:.2%} | {share / bare:.2f} | {woken:.2f} | {own['ticks']} "
                  f"| {own['missed']} | {own['late_p99_us']:.0f} µs |")
    base = bases[ALUMET]
    print(f"\nStarting and ending cost {base * 1e3:.1f} ms of CPU time a run, which is not in the table.\n")


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
sampling(2 if QUICK else 10)
memory()
shutil.rmtree(TMP)
