# What a host and its containers use at this moment: small enough to be asked every few minutes for days. Reads only.
# The containers' rows are those of facts_script.sh, section usage: control groups version 2 and 1, both drivers.
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
echo "$mark end"
