# What a service starts on behalf of the application is not the application's.
alumet exec --json systemd-run.json -- systemd-run --quiet --wait workload burn=300 2>systemd-run.text
alumet exec --json shell.json -- sh -c 'systemd-run --quiet --wait workload burn=300; true' 2>shell.text
alumet exec --json at.json -- at -f /dev/null now 2>at.text
alumet exec --json scope.json -- systemd-run --quiet --scope workload burn=300 2>scope.text
true
