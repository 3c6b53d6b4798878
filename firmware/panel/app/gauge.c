#include "gauge.h"

#define FILTER_SHIFT 5U
#define SAMPLES_NEEDED 16U

static bool plausible(uint16_t gain)
{
    return gain >= GAIN_DEFAULT - GAIN_DEFAULT / 5U && gain <= GAIN_DEFAULT + GAIN_DEFAULT / 5U;
}

/* A gain is stored as two bytes and their complement, at two places: one survives a power cut in the write. */
static uint16_t place(uint8_t channel, uint8_t copy)
{
    return (uint16_t)(EEPROM_CALIBRATION + copy * 8U + channel * 4U);
}

static bool stored_gain(uint16_t address, uint16_t *gain, eeprom_read_fn read)
{
    uint8_t low = read(address), high = read((uint16_t)(address + 1U));

    uint8_t not_low = read((uint16_t)(address + 2U)), not_high = read((uint16_t)(address + 3U));

    if ((low ^ not_low) != 0xFF || (high ^ not_high) != 0xFF)
        return false;
    *gain = (uint16_t)(low | high << 8);
    return plausible(*gain);
}

void gauge_open(struct gauge *gauge, eeprom_read_fn read)
{
    *gauge = (struct gauge){0};
    for (uint8_t channel = 0; channel < GAUGE_CHANNELS; channel++) {
        uint16_t gain;
        if (stored_gain(place(channel, 0), &gain, read) || stored_gain(place(channel, 1), &gain, read))
            gauge->gain[channel] = gain;
        else
            gauge->gain[channel] = GAIN_DEFAULT;
    }
}

void gauge_sample(struct gauge *gauge, uint8_t channel, uint16_t counts)
{
    if (gauge->samples[channel] == 0)
        gauge->filtered[channel] = (uint16_t)(counts << FILTER_SHIFT);
    else
        gauge->filtered[channel] = (uint16_t)(gauge->filtered[channel] - (gauge->filtered[channel] >> FILTER_SHIFT) + counts);
    if (gauge->samples[channel] < 255)
        gauge->samples[channel]++;
}

uint16_t gauge_mv(const struct gauge *gauge, uint8_t channel)
{
    if (gauge->samples[channel] < SAMPLES_NEEDED)
        return 0;
    uint16_t mv = (uint16_t)(((uint32_t)gauge->filtered[channel] * gauge->gain[channel]) >> (8U + FILTER_SHIFT));
    return mv ? mv : 1; /* a battery that is gone is not one that was never measured */
}

bool gauge_calibrate(struct gauge *gauge, uint8_t channel, uint16_t true_mv, eeprom_write_fn write)
{
    if (channel >= GAUGE_CHANNELS || gauge->samples[channel] < SAMPLES_NEEDED || gauge->filtered[channel] < 1024U)
        return false;
    uint32_t gain = ((uint32_t)true_mv << (8U + FILTER_SHIFT)) / gauge->filtered[channel];
    if (gain > UINT16_MAX || !plausible((uint16_t)gain))
        return false;
    gauge->gain[channel] = (uint16_t)gain;
    for (uint8_t copy = 0; copy < 2; copy++) {
        uint16_t address = place(channel, copy);
        write(address, (uint8_t)gain);
        write((uint16_t)(address + 1U), (uint8_t)(gain >> 8));
        write((uint16_t)(address + 2U), (uint8_t)~gain);
        write((uint16_t)(address + 3U), (uint8_t)~(gain >> 8));
    }
    return true;
}
