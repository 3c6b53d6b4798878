# U-Boot's script on the first partition. The counters are RAUC's: BOOT_ORDER, and for each slot the tries that are left.
# A slot is tried three times; a system that serves sets its counter back. When none is left, the recovery starts.
# There are two copies of the counters, of one sector each; UPK_TURN (0, 1, 2, 0, …) tells the newer one, only the older
# one is written. A copy that was cut while it was written is known by its checksum.
if test "${devtype}" = virtio; then
  setenv upk_ram 0x4
  setenv upk_console "console=tty0 console=ttyAMA0,115200"
else
  setenv upk_ram 0x0
  setenv upk_console "console=ttyS1,115200 console=tty0"
fi
setenv upk_sector_1 "${upk_ram}7000000"
setenv upk_sector_2 "${upk_ram}7001000"
setenv upk_kernel "${upk_ram}8000000"
setenv upk_initrd "${upk_ram}e000000"
${devtype} dev ${devnum}
part start ${devtype} ${devnum} @ENV@ upk_at_1
setexpr upk_at_2 ${upk_at_1} + @APART@
setenv upk_turn_1 none
setenv upk_turn_2 none
setenv UPK_TURN none
if ${devtype} read ${upk_sector_1} ${upk_at_1} 1; then
  if env import -c ${upk_sector_1} 200 UPK_TURN; then setenv upk_turn_1 "${UPK_TURN}"; fi
fi
if ${devtype} read ${upk_sector_2} ${upk_at_2} 1; then
  if env import -c ${upk_sector_2} 200 UPK_TURN; then setenv upk_turn_2 "${UPK_TURN}"; fi
fi
setenv upk_newer none
if test "${upk_turn_1}" != none; then setenv upk_newer 1; fi
if test "${upk_turn_2}" != none; then
  if test "${upk_turn_1}" = none; then setenv upk_newer 2; fi
  if test "${upk_turn_1}${upk_turn_2}" = 01; then setenv upk_newer 2; fi
  if test "${upk_turn_1}${upk_turn_2}" = 12; then setenv upk_newer 2; fi
  if test "${upk_turn_1}${upk_turn_2}" = 20; then setenv upk_newer 2; fi
fi
setenv UPK_TURN 2
setenv BOOT_ORDER "A B"
setenv BOOT_A_LEFT 3
setenv BOOT_B_LEFT 3
setenv upk_sector "${upk_sector_1}"
setenv upk_at "${upk_at_1}"
if test "${upk_newer}" = 1; then
  env import -c ${upk_sector_1} 200 UPK_TURN BOOT_ORDER BOOT_A_LEFT BOOT_B_LEFT
  setenv upk_sector "${upk_sector_2}"
  setenv upk_at "${upk_at_2}"
fi
if test "${upk_newer}" = 2; then
  env import -c ${upk_sector_2} 200 UPK_TURN BOOT_ORDER BOOT_A_LEFT BOOT_B_LEFT
fi
setenv upk_turn 0
if test "${UPK_TURN}" = 0; then setenv upk_turn 1; fi
if test "${UPK_TURN}" = 1; then setenv upk_turn 2; fi
setenv UPK_TURN "${upk_turn}"
setenv upk_slot none
for upk_one in ${BOOT_ORDER}; do
  if test "${upk_slot}" = none; then
    if test "${upk_one}" = A; then
      if test "${BOOT_A_LEFT}" -gt 0; then
        setenv upk_slot A
        setenv upk_boot @BOOT_A@
        setenv upk_root @ROOT_A@
        setexpr BOOT_A_LEFT ${BOOT_A_LEFT} - 1
      fi
    fi
    if test "${upk_one}" = B; then
      if test "${BOOT_B_LEFT}" -gt 0; then
        setenv upk_slot B
        setenv upk_boot @BOOT_B@
        setenv upk_root @ROOT_B@
        setexpr BOOT_B_LEFT ${BOOT_B_LEFT} - 1
      fi
    fi
  fi
done
if test "${upk_slot}" != none; then
  setenv upk_folder /
  setenv upk_words "root=PARTUUID=${upk_root} rauc.slot=${upk_slot}"
else
  # RAUC strikes a slot that was given up out of the order. After the recovery it comes last, and once.
  setenv upk_boot @ESP@
  setenv upk_folder /recovery/
  setenv upk_words upkendra.recovery
  setenv BOOT_A_LEFT 3
  setenv BOOT_B_LEFT 3
  setenv upk_order "A B"
  if test "${BOOT_ORDER}" = A; then setenv BOOT_B_LEFT 1; fi
  if test "${BOOT_ORDER}" = B; then setenv BOOT_A_LEFT 1; fi
  if test "${BOOT_ORDER}" = B; then setenv upk_order "B A"; fi
  if test "${BOOT_ORDER}" = "B A"; then setenv upk_order "B A"; fi
  setenv BOOT_ORDER "${upk_order}"
fi
env export -c -s 200 ${upk_sector} UPK_TURN BOOT_ORDER BOOT_A_LEFT BOOT_B_LEFT
${devtype} write ${upk_sector} ${upk_at} 1
echo "Upkendra: slot ${upk_slot}"
setenv bootargs "${upk_words} @CMDLINE@ ${upk_console}"
if load ${devtype} ${devnum}:${upk_boot} ${upk_kernel} ${upk_folder}vmlinuz; then
  if load ${devtype} ${devnum}:${upk_boot} ${upk_initrd} ${upk_folder}initrd.img; then
    booti ${upk_kernel} ${upk_initrd}:${filesize} ${fdt_addr}
  fi
fi
echo "Upkendra: slot ${upk_slot} cannot be read"
reset
