# In a unit of its own, alumet can have the memory of the application counted.
systemd-run --quiet --scope alumet exec -q --json scope.json -- workload touch=50
login alice 'systemd-run --user --quiet --scope alumet exec -q --json user-scope.json -- workload touch=50'
login alice 'systemd-run --user --quiet --scope -p Delegate=yes alumet exec -q --json delegated.json -- workload touch=50'
systemd-run --quiet --wait --uid=alice -p Delegate=yes -p "WorkingDirectory=$PWD" \
    alumet exec -q --json service.json -- workload touch=50
