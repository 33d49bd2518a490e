#!/bin/bash
# Makes a container's file system and becomes its command; runs in mount, process and network namespaces of its own.
# Everything it mounts ends with those. Arguments: root folder of the image, a folder of this container, user, group,
# capabilities that are kept, read-only (yes|no), working folder, then mounts (source target ro|rw|tmpfs) up to --, the command.
set -euo pipefail
image=$1 own=$2 user=$3 group=$4 kept=$5 read_only=$6 folder=$7
shift 7
mount --make-rprivate /
mount -t tmpfs -o mode=0755 tmpfs "$own"
mkdir "$own/upper" "$own/work" "$own/root"
root=$own/root
mount -t overlay overlay -o "lowerdir=$image,upperdir=$own/upper,workdir=$own/work" "$root"
mkdir -p "$root/proc" "$root/dev" "$root/tmp"
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm"
while [ "$1" != -- ]; do
  source=$1 target=$root$2 mode=$3
  shift 3
  if [ "$mode" = tmpfs ]; then
    mkdir -p "$target"
    mount -t tmpfs -o mode=1777,size=256m tmpfs "$target"
    continue
  fi
  if [ -d "$source" ]; then mkdir -p "$target"; else mkdir -p "$(dirname "$target")"; [ -e "$target" ] || : >"$target"; fi
  mount --bind "$source" "$target"
  [ "$mode" = rw ] || mount -o remount,bind,ro "$target"
done
shift
[ "$read_only" = no ] || mount -o remount,ro "$root"
limits=(--no-new-privs)
if [ "$kept" != all ]; then
  limits+=("--bounding-set=-all${kept:+,+${kept//,/,+}}" --inh-caps=-all)
fi
cd "$root"
exec chroot "$root" setpriv "--reuid=$user" "--regid=$group" --clear-groups "${limits[@]}" env "--chdir=$folder" -- "$@"
