# What a host and its containers use at this moment: small enough to be asked every few minutes for days. Reads only.
# The containers' rows are those of gather.sh, section usage: control groups version 2 and 1, both drivers.
mark="$1"
echo "$mark memory"; cat /proc/meminfo
echo "$mark processor"; head -n 1 /proc/stat
echo "$mark containers"; docker ps --no-trunc --format '{{.ID}} {{.Names}}' || exit
echo "$mark usage"
cd /sys/fs/cgroup || exit
set --
for one in "" memory/; do for place in docker/ system.slice/docker-; do
    set -- "$@" $one$place*/memory.current $one$place*/memory.usage_in_bytes $one$place*/memory.stat
done; done
grep -sHE '^[0-9]+$|^(total_)?inactive_file |^usage_usec ' "$@" docker/*/cpu.stat system.slice/docker-*/cpu.stat \
    cpuacct/docker/*/cpuacct.usage cpuacct/system.slice/docker-*/cpuacct.usage
# A container that has neither read nor written has an io.stat without a row: the file's name says that it was read. In version 1
# a file without a row may also be that of a kernel that does not count at all (6.18 says "Total 0" of everything): not looked at.
echo "$mark blocks"
for file in docker/*/io.stat system.slice/docker-*/io.stat; do
    if [ -r "$file" ]; then echo "$file:"; fi
done
grep -sHE '^[0-9]+:[0-9]+ ' docker/*/io.stat system.slice/docker-*/io.stat blkio/docker/*/blkio.throttle.io_service_bytes_recursive \
    blkio/system.slice/docker-*/blkio.throttle.io_service_bytes_recursive
# The disks below Docker's data and all that containers mount: a partition's whole disk, for its other partitions keep it busy too.
echo "$mark disks"
{
    docker info --format '{{.DockerRootDir}}'
    docker ps -q | xargs -r docker inspect --format '{{range .Mounts}}{{println .Source}}{{end}}'
} 2>/dev/null | sort -u | while IFS= read -r path; do
    if [ -e "$path" ]; then df -P "$path" 2>/dev/null | sed -n '2s/ .*//p'; fi
done | sort -u | while IFS= read -r device; do
    name=$(readlink -f "$device"); name=${name##*/}
    place=$(readlink -f "/sys/class/block/$name") || continue
    if [ -e "$place/partition" ]; then place=${place%/*}; fi
    if [ -e "$place/dev" ]; then echo "${place##*/}"; fi
done | sort -u
echo "$mark diskstats"; cat /proc/diskstats
echo "$mark end"
