#!/usr/bin/env bash
# Install what the image and node tests need and this machine does not have (Debian, Ubuntu).
# A program that is there already is left alone, whoever installed it. Arguments name further ones
# that their packages are called by.
set -euo pipefail
PATH=$PATH:/usr/sbin:/sbin

needed=(
  # what to look for          the package that brings it
  debootstrap                 debootstrap
  buildah                     buildah
  containerd                  containerd
  runc                        runc
  /usr/lib/cni/bridge         containernetworking-plugins
  ip                          iproute2
  iptables                    iptables
  nft                         nftables
  ipset                       ipset
  conntrack                   conntrack
  mount.nfs                   nfs-common
  ganesha.nfsd                nfs-ganesha-vfs
)

for program in "$@"; do
  needed+=("$program" "$program")
done

missing=()
for ((i = 0; i < ${#needed[@]}; i += 2)); do
  command -v "${needed[i]}" >/dev/null || [[ -e ${needed[i]} ]] || missing+=("${needed[i + 1]}")
done

if ((${#missing[@]} == 0)); then
  echo "Nothing to install: all of the packages are there."
elif ! command -v apt-get >/dev/null; then
  echo "This machine has no apt-get: install ${missing[*]} (or what they are called here)." >&2
  exit 1
elif ((EUID != 0)); then
  echo "Installing ${missing[*]} needs root: run \`sudo make cluster-packages\`." >&2
  exit 1
else
  apt-get update --quiet=2
  DEBIAN_FRONTEND=noninteractive \
    apt-get install --quiet=2 --yes --no-install-recommends "${missing[@]}"
fi
