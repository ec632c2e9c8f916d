# A container of an ordinary user's.
mkdir root
for file in /usr/local/bin/workload $(ldd /usr/local/bin/workload | grep -o '/[^ ]*'); do
    mkdir -p "root$(dirname "$file")"
    cp -L "$file" "root$file"
done
mkdir -p root/{dev,proc,sys,tmp,run,etc}
chown -R alice root
login alice 'alumet exec -q --json p.json -- podman run --rm --network=none --rootfs "$PWD/root" /usr/local/bin/workload burn=1500'
