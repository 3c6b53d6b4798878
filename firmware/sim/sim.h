/* The simulated board's state, shared by the two files of the harness. */
#ifndef UPK_SIM_H
#define UPK_SIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <simavr/avr_eeprom.h>
#include <simavr/avr_flash.h>
#include <simavr/avr_uart.h>
#include <simavr/sim_avr.h>
#include <simavr/sim_io.h>

#define FLASH_BYTES 32768
#define EEPROM_BYTES 1024

struct sim {
    avr_t *avr;
    avr_flash_t *flash;
    avr_eeprom_t *eeprom;
    avr_uart_t *uart;
    unsigned uart_factor;
    int (*flash_ioctl)(avr_io_t *io, uint32_t ctl, void *param);
    uint8_t eeprom_shadow[EEPROM_BYTES];
    const char *state;
    unsigned long ops, cut_at;
    unsigned seed;
    bool trace;
    int pty;
    bool xoff;
    uint8_t spi[2];
    int spi_bytes;
    uint8_t digits[8];
    bool pi_on, buzz;
};

extern struct sim sim;

/* Ends the program with a message and errno's. */
void die(const char *what) __attribute__((noreturn));

/* memory.c: flash and EEPROM, kept in files, torn by power cuts. */

/* The bytes of a file of the state folder; false when there is none. */
bool load(const char *name, uint8_t *bytes, size_t size);
void save_state(void);
/* Saves and exits with status 9. */
void power_cut(void) __attribute__((noreturn));
/* As the factory programmer would: application with its meta page in bank A. */
void install(const char *path);
/* Stands between simavr and its flash: counts erases and writes, gives them time, and cuts the power in one. */
int flash_ioctl(avr_io_t *io, uint32_t ctl, void *param);
/* The same for the EEPROM, at each write to its control register. */
void eeprom_written(avr_t *avr, avr_io_addr_t address, uint8_t value, void *param);

#endif
