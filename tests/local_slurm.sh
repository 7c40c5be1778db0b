#!/usr/bin/env bash
# A one-node Slurm on this machine, from Debian's packages, unpacked into DIR and not installed; needs root and apt-get.
#     bash tests/local_slurm.sh DIR     then  . DIR/env.sh     and to stop it  bash DIR/stop.sh
# Exit code 77: the packages cannot be had here.
set -eu
D=$(realpath -m "$1")
mkdir -p "$D"/{debs,root,state,spool,log}
cd "$D/debs"
[ "$(id -u)" = 0 ] && command -v apt-get >/dev/null && command -v dpkg >/dev/null || { echo 'needs root, apt-get and dpkg'; exit 77; }
packages='slurm-wlm-basic-plugins slurmctld slurmd slurm-client libmunge2 libhwloc15 libnuma1 libltdl7 libxnvctrl0'
# shellcheck disable=SC2086
apt-get download -q $packages >"$D/log/apt.log" 2>&1 || { tail -3 "$D/log/apt.log"; exit 77; }
for deb in *.deb; do dpkg -x "$deb" "$D/root"; done
L=$(dirname "$(dirname "$(find "$D/root" -name auth_none.so | head -1)")") H=$(hostname -s)
for name in slurmstepd slurmd slurmctld; do
    [ -e "$D/root/usr/sbin/$name" ] || ln -sf "$name-wlm" "$D/root/usr/sbin/$name"
done
# cred_expire: a job that was queued again may begin after so many seconds; the default is 120.
cat >"$D/slurm.conf" <<C
ClusterName=local
SlurmctldHost=$H(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/none
AuthInfo=cred_expire=5
CredType=cred/none
SlurmctldPort=${SLURM_TEST_PORT:-16827}
SlurmdPort=$((${SLURM_TEST_PORT:-16827} + 1))
StateSaveLocation=$D/state
SlurmdSpoolDir=$D/spool
SlurmctldPidFile=$D/slurmctld.pid
SlurmdPidFile=$D/slurmd.pid
SlurmctldLogFile=$D/log/slurmctld.log
SlurmdLogFile=$D/log/slurmd.log
PluginDir=$L/slurm-wlm
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
SwitchType=switch/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
ReturnToService=2
KillWait=120
NodeName=$H NodeAddr=127.0.0.1 CPUs=$(nproc) RealMemory=1000 State=UNKNOWN
PartitionName=debug Nodes=$H Default=YES MaxTime=INFINITE State=UP
C
printf 'CgroupPlugin=cgroup/v1\nCgroupMountpoint=%s\n' "$D/cgroup" >"$D/cgroup.conf"
cat >"$D/env.sh" <<C
export SLURM_CONF=$D/slurm.conf LD_LIBRARY_PATH=$L:$L/slurm-wlm PATH=$D/root/usr/bin:$D/root/usr/sbin:\$PATH
C
cat >"$D/stop.sh" <<C
for name in slurmd slurmctld; do [ -f $D/\$name.pid ] && kill "\$(cat $D/\$name.pid)"; done; true
C
. "$D/env.sh"
slurmctld -c
sleep 1
slurmd -c -d "$D/root/usr/sbin/slurmstepd" || { tail -5 "$D/log/slurmd.log"; exit 1; }
for _ in $(seq 120); do
    sinfo -h -o %T 2>/dev/null | grep -q idle && exit 0
    sleep 0.5
done
tail -5 "$D"/log/slurm*.log
exit 1
