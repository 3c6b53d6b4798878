#include "segments.h"

#ifdef __AVR__
#include <avr/pgmspace.h>
#else
#define PROGMEM
#define pgm_read_byte(address) (*(address))
#endif

static const uint8_t hexadecimal[16] PROGMEM = {
    0x7E, 0x30, 0x6D, 0x79, 0x33, 0x5B, 0x5F, 0x70, 0x7F, 0x7B, 0x77, 0x1F, 0x4E, 0x3D, 0x4F, 0x47,
};

static bool segment(uint8_t character, uint8_t *segments)
{
    if (character >= '0' && character <= '9')
        *segments = pgm_read_byte(&hexadecimal[character - '0']);
    else if (character >= 'A' && character <= 'F')
        *segments = pgm_read_byte(&hexadecimal[character - 'A' + 10]);
    else if (character == 'H')
        *segments = 0x37;
    else if (character == 'L')
        *segments = 0x0E;
    else if (character == 'P')
        *segments = 0x67;
    else if (character == 'U')
        *segments = 0x3E;
    else if (character == '-')
        *segments = 0x01;
    else if (character == ' ')
        *segments = 0;
    else
        return false;
    return true;
}

bool segments_of(uint8_t digits[DIGITS], const uint8_t *text, uint8_t length)
{
    uint8_t out[DIGITS] = {0};

    if (length > DIGITS)
        return false;
    for (uint8_t i = 0; i < length; i++) {
        uint8_t character = text[length - 1U - i];
        if (!segment(character & 0x7FU, &out[i]))
            return false;
        if (character & 0x80U)
            out[i] |= 0x80U;
    }
    for (uint8_t i = 0; i < DIGITS; i++)
        digits[i] = out[i];
    return true;
}
