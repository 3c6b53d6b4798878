/* Pins and peripherals of the board (HARDWARE.md): everything that touches a register. */
#ifndef UPK_BOARD_H
#define UPK_BOARD_H

#include <stdbool.h>
#include <stdint.h>

#include "segments.h"

enum channel { CHANNEL_BATTERY, CHANNEL_INPUT, CHANNELS };

void board_init(void);
void board_pet_watchdog(void);
/* Waits, asleep, for the next interrupt: at most a millisecond. */
void board_idle(void);
/* Restarts the processor into the loader. Does not return. */
void board_restart(void) __attribute__((noreturn));

/* Milliseconds since reset; wraps. */
uint16_t board_ms(void);

bool board_button_closed(void);
bool board_mains_present(void);
/* The Pi has power unless this is called with false: a processor in reset leaves it on. */
void board_pi_power(bool on);
/* Sound on or off, 2 kHz. */
void board_buzzer(bool on);
void board_display(const uint8_t digits[DIGITS]);

/* Starts a conversion, and fetches its result (0–1023) at the next call. */
void board_adc_start(enum channel channel);
bool board_adc_ready(uint16_t *counts);

/* A received byte, or -1. */
int16_t board_uart_get(void);
/* Queues all of it, or nothing when there is no room. */
bool board_uart_put(const uint8_t *bytes, uint8_t length);

uint8_t board_eeprom_read(uint16_t address);
void board_eeprom_write(uint16_t address, uint8_t byte);
/* Bytes of RAM that the stack has never touched. */
uint16_t board_stack_free(void);

#endif
