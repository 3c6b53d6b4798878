/* CRC-16/CCITT-FALSE: polynomial 0x1021, start 0xFFFF, no reflection (check value of "123456789": 0x29B1). */
#ifndef UPK_CRC16_H
#define UPK_CRC16_H

#include <stdint.h>

#define CRC16_START 0xFFFFU

/* One byte more. The sum over a message followed by its sum, high byte first, is 0. */
uint16_t crc16_byte(uint16_t crc, uint8_t byte);

#endif
