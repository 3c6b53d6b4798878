/* Voltages: filtering and calibration. Pure but for the EEPROM functions given from outside. */
#ifndef UPK_GAUGE_H
#define UPK_GAUGE_H

#include <stdbool.h>
#include <stdint.h>

#include "journal.h"

#define GAUGE_CHANNELS 2U
/* 100 kΩ over 22 kΩ at a reference of 5 V: 5000 / 1024 × 122 / 22 mV a count, in 1/256 mV. */
#define GAIN_DEFAULT 6932U

struct gauge {
    uint16_t filtered[GAUGE_CHANNELS]; /* counts × 32 */
    uint16_t gain[GAUGE_CHANNELS];     /* 1/256 mV a count */
    uint8_t samples[GAUGE_CHANNELS];   /* up to 255; a channel speaks after 16 */
};

void gauge_open(struct gauge *gauge, eeprom_read_fn read);
/* One conversion result, 0–1023. First-order low pass over 32 samples. */
void gauge_sample(struct gauge *gauge, uint8_t channel, uint16_t counts);
/* mV, or 0 while there are too few samples. */
uint16_t gauge_mv(const struct gauge *gauge, uint8_t channel);
/* Takes what a meter reads now; refused when it would change the default gain by more than a fifth. */
bool gauge_calibrate(struct gauge *gauge, uint8_t channel, uint16_t true_mv, eeprom_write_fn write);

#endif
