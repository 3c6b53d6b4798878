/* Flash and EEPROM of the simulated board: kept in files from one power-up to the next, every write counted, and the
 * power cut in the middle of the n-th one. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sim.h"

#define PAGE_CYCLES 64000 /* 4 ms, datasheet table 31-18: 3.7 to 4.5 ms */

static void store(const char *name, const uint8_t *bytes, size_t size)
{
    char path[4096];

    if (!sim.state)
        return;
    snprintf(path, sizeof path, "%s/%s", sim.state, name);
    FILE *file = fopen(path, "wb");
    if (!file || fwrite(bytes, 1, size, file) != size || fclose(file))
        die(path);
}

bool load(const char *name, uint8_t *bytes, size_t size)
{
    char path[4096];

    if (!sim.state)
        return false;
    snprintf(path, sizeof path, "%s/%s", sim.state, name);
    FILE *file = fopen(path, "rb");
    if (!file)
        return false;
    if (fread(bytes, 1, size, file) != size)
        die(path);
    fclose(file);
    return true;
}

void save_state(void)
{
    store("flash.bin", sim.avr->flash, FLASH_BYTES);
    store("eeprom.bin", sim.eeprom->eeprom, EEPROM_BYTES);
}

void power_cut(void)
{
    save_state();
    printf("cut %lu\n", sim.ops);
    fflush(stdout);
    _exit(9);
}

/* Counts a write; true when the power goes in the middle of it. */
static bool op(const char *kind, unsigned address)
{
    sim.ops++;
    if (sim.trace)
        printf("op %lu %s %04x\n", sim.ops, kind, address);
    return sim.cut_at && sim.ops == sim.cut_at;
}

static unsigned draw(void)
{
    sim.seed = sim.seed * 1103515245u + 12345u;
    return sim.seed >> 16;
}

int flash_ioctl(avr_io_t *io, uint32_t ctl, void *param)
{
    avr_t *avr = io->avr;

    if (ctl != AVR_IOCTL_FLASH_SPM)
        return sim.flash_ioctl(io, ctl, param);
    bool erase = avr_regbit_get(avr, sim.flash->pgers), write = avr_regbit_get(avr, sim.flash->pgwrt);
    unsigned page = ((unsigned)avr->data[R_ZL] | (unsigned)avr->data[R_ZH] << 8) & ~127u & (FLASH_BYTES - 1);
    uint8_t before[128];
    bool torn = (erase || write) && op(erase ? "erase" : "write", page);

    memcpy(before, avr->flash + page, sizeof before);
    int result = sim.flash_ioctl(io, ctl, param);
    if (torn) {
        /* Some cells have the new charge, some the old, one in eight neither. */
        for (unsigned i = 0; i < sizeof before; i++) {
            unsigned die_roll = draw() & 7;
            if (die_roll < 4)
                avr->flash[page + i] = before[i];
            else if (die_roll == 7)
                avr->flash[page + i] = (uint8_t)draw();
        }
        power_cut();
    }
    if (erase || write)
        avr->cycle += PAGE_CYCLES;
    return result;
}

void eeprom_written(avr_t *avr, avr_io_addr_t address, uint8_t value, void *param)
{
    (void)address;
    (void)param;
    unsigned at = ((unsigned)avr->data[0x41] | (unsigned)avr->data[0x42] << 8) & (EEPROM_BYTES - 1);

    if (!(value & 2) || sim.eeprom->eeprom[at] == sim.eeprom_shadow[at])
        return;
    if (op("eeprom", at)) {
        unsigned die_roll = draw() % 3;
        if (die_roll == 0)
            sim.eeprom->eeprom[at] = sim.eeprom_shadow[at];
        else if (die_roll == 1)
            sim.eeprom->eeprom[at] = (uint8_t)draw();
        power_cut();
    }
    sim.eeprom_shadow[at] = sim.eeprom->eeprom[at];
}

void install(const char *path)
{
    uint8_t *flash = sim.avr->flash;
    FILE *file = fopen(path, "rb");

    if (!file)
        die(path);
    size_t length = fread(flash, 1, 15232, file);
    fclose(file);
    uint16_t meta[5] = {0x5550, (uint16_t)length, 0, 1, 0};
    uint16_t crc = 0xFFFF;
    for (size_t i = 0; i < length; i++) {
        crc ^= (uint16_t)(flash[i] << 8);
        for (int bit = 0; bit < 8; bit++)
            crc = (uint16_t)(crc & 0x8000 ? crc << 1 ^ 0x1021 : crc << 1);
    }
    meta[2] = crc;
    crc = 0xFFFF;
    for (size_t i = 0; i < 8; i++) {
        crc ^= (uint16_t)(((uint8_t *)meta)[i] << 8);
        for (int bit = 0; bit < 8; bit++)
            crc = (uint16_t)(crc & 0x8000 ? crc << 1 ^ 0x1021 : crc << 1);
    }
    meta[4] = crc;
    memcpy(flash + 15232, meta, sizeof meta);
}
