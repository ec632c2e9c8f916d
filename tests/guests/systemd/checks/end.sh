# Whatever has left ends with the rest, or is waited for.
alumet exec -q --timeout 3s -- systemd-run --quiet --scope sleep 4321
echo "scope: $?" >>statuses
alumet exec -q --timeout 3s -- runuser -l alice -c 'sleep 4322'
echo "login: $?" >>statuses
for seconds in 4321 4322; do
    ! lives "sleep $seconds" || echo "sleep $seconds lives" >>statuses
done
alumet exec -q -e task-clock --wait-all --json all.json -- sh -c 'systemd-run --quiet --scope burn 1500 >all.usage & sleep 1'
