# Killed for want of memory, with the controller for the application and without.
for delegate in yes no; do
    systemd-run --quiet --wait --pipe --uid=alice -p "WorkingDirectory=$PWD" -p MemoryMax=60M -p MemorySwapMax=0 \
        -p OOMPolicy=continue -p Delegate=$delegate --unit=hungry-$delegate \
        alumet exec --json $delegate.json -- workload touch=300
done
# To systemd, two of them are one.
systemd-run --quiet --wait --pipe -p "WorkingDirectory=$PWD" --unit=killed \
    alumet exec --json killed.json -- sh -c 'kill -9 $$$$'
true
