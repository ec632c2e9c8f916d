# Processes that systemd moves out of the cgroup that they were started in.
for how in runuser su; do
    alumet exec -q -e task-clock --json $how.json -- $how -l alice -c 'burn 1500' >$how.usage
done
alumet exec -q -e task-clock --json scope.json -- systemd-run --quiet --scope burn 1500 >scope.usage
login alice 'alumet exec -q --json user-scope.json -- systemd-run --user --quiet --scope burn 1500 >user-scope.usage'
