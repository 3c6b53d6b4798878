#!/bin/sh
# In a delta bundle: checks that the running slot is what the delta was made from, and builds the other slot from it.
# The lines above the marker are put in when the bundle is made: sizes in bytes, SHA-256 in hex.
set -eu

here="$(dirname "$0")"
slot="$(sed -n 's/.*rauc\.slot=\([AB]\).*/\1/p' /proc/cmdline)"

part() { # class -> the running slot's partition
  case "$1" in
    rootfs) echo "/dev/disk/by-partlabel/UPK-ROOT-$slot" ;;
    boot) echo "/dev/disk/by-partlabel/UPK-BOOT-$slot" ;;
  esac
}

sum() { # device size
  blockdev --flushbufs "$1"
  head -c "$2" "$1" | sha256sum | cut -d ' ' -f 1
}

case "$1" in
  install-check)
    if [ "$(sum "$(part rootfs)" "$ROOTFS_BASE_SIZE")" != "$ROOTFS_BASE_SHA256" ] ||
      [ "$(sum "$(part boot)" "$BOOT_BASE_SIZE")" != "$BOOT_BASE_SHA256" ]; then
      echo "upkendra-base: This delta is for a node that runs version $BASE_VERSION as it was released; take the full update." >&2
      exit 10
    fi
    ;;
  slot-install)
    case "$RAUC_SLOT_CLASS" in
      rootfs) base_size=$ROOTFS_BASE_SIZE size=$ROOTFS_SIZE sha256=$ROOTFS_SHA256 ;;
      boot) base_size=$BOOT_BASE_SIZE size=$BOOT_SIZE sha256=$BOOT_SHA256 ;;
      *) echo "no such slot: $RAUC_SLOT_CLASS" >&2; exit 1 ;;
    esac
    [ "$base_size" -gt 0 ]
    xdelta3 -d -c -B 67108864 -s "$(part "$RAUC_SLOT_CLASS")" "$here/$RAUC_SLOT_CLASS.xdelta" |
      dd of="$RAUC_SLOT_DEVICE" bs=1M iflag=fullblock conv=fsync status=none
    if [ "$(sum "$RAUC_SLOT_DEVICE" "$size")" != "$sha256" ]; then
      echo "the other slot is not what it should be after the delta" >&2
      exit 1
    fi
    ;;
esac
