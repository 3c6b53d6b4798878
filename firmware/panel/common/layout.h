/* Where things lie in flash and EEPROM (firmware/PROTOCOL.md). Shared by application and loader. */
#ifndef UPK_LAYOUT_H
#define UPK_LAYOUT_H

#include <stdint.h>

#define PAGE_BYTES 128U
#define BANK_A 0x0000U
#define BANK_B 0x3C00U
#define BANK_BYTES 0x3C00U
#define IMAGE_MAX (BANK_BYTES - PAGE_BYTES) /* 15,232 B; the last page of a bank is its meta page */
#define META_OFFSET IMAGE_MAX
#define META_MAGIC 0x5550U

struct meta {
    uint16_t magic;
    uint16_t length;
    uint16_t crc;
    uint16_t version;
    uint16_t meta_crc; /* CRC of the eight bytes before */
};

/* Address 0 is left alone: it is the one that a sagging supply spoils (datasheet, "Preventing EEPROM corruption"). */
#define EEPROM_CONFIRM 1U /* CRC of the confirmed application, then its complement; 4 bytes */
#define EEPROM_TRIAL 5U   /* bits are cleared one at each start of an unconfirmed application */
#define EEPROM_CALIBRATION 16U
#define EEPROM_LOG 64U
#define LOG_RECORDS 80U
#define LOG_RECORD_BYTES 12U

#define TRIAL_FRESH 0xFFU
#define TRIAL_USED 0xF8U /* three bits cleared */
#define LOADER_MAGIC 0x4C55U

/* The top two bytes of RAM, above the stack, given by the linker to both programs: a reset leaves them alone. */
extern volatile uint16_t loader_request;

#endif
