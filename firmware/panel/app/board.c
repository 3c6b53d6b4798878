#include "board.h"

#include <avr/eeprom.h>
#include <avr/interrupt.h>
#include <avr/io.h>
#include <avr/sleep.h>
#include <avr/wdt.h>
#include <util/atomic.h>

#include "protocol.h"

#define BUTTON_PIN PD2
#define BUZZER_PIN PD3
#define CUT_PIN PD4 /* high cuts the Pi's power; floating or low leaves it on */
#define MAINS_PIN PD6
#define CS_PIN PB2
#define MOSI_PIN PB3
#define MISO_PIN PB4 /* the programming header's alone */
#define SCK_PIN PB5
/* Connected to nothing: pulled up, because an input that floats draws current. */
#define SPARE_B (1U << PB0 | 1U << PB1)
#define SPARE_C (1U << PC2 | 1U << PC3 | 1U << PC4 | 1U << PC5)
#define SPARE_D (1U << PD5 | 1U << PD7)

#define RX_RING 64U
#define TX_RING 128U
#define STACK_PAINT 0xC5U

static volatile uint8_t rx_ring[RX_RING], tx_ring[TX_RING];
static volatile uint8_t rx_head, rx_tail, tx_head, tx_tail;
static volatile uint16_t milliseconds;

extern uint8_t __bss_end[], __stack[]; /* addresses given by the linker */

/* Before main: paint what the stack may use. */
void paint_stack(void) __attribute__((naked, used, section(".init1")));
void paint_stack(void)
{
    __asm volatile("ldi r30, lo8(__bss_end)\n"
                   "ldi r31, hi8(__bss_end)\n"
                   "ldi r24, %0\n"
                   "ldi r25, hi8(__stack)\n"
                   "rjmp 2f\n"
                   "1: st Z+, r24\n"
                   "2: cpi r30, lo8(__stack)\n"
                   "cpc r31, r25\n"
                   "brlo 1b\n" ::"M"(STACK_PAINT));
}

uint16_t board_stack_free(void)
{
    uint16_t free = 0, span = (uint16_t)((uintptr_t)__stack - (uintptr_t)__bss_end);

    while (free <= span && __bss_end[free] == STACK_PAINT)
        free++;
    return free;
}

static void spi_send(uint8_t reg, uint8_t value)
{
    PORTB &= (uint8_t) ~(1U << CS_PIN);
    SPDR = reg;
    while (!(SPSR & (1U << SPIF)))
        ;
    SPDR = value;
    while (!(SPSR & (1U << SPIF)))
        ;
    PORTB |= (uint8_t)(1U << CS_PIN);
}

void board_display(const uint8_t digits[DIGITS])
{
    /* The set-up is sent each time: a discharge at the cable can clear the driver's registers. */
    spi_send(0x0F, 0); /* no display test */
    spi_send(0x09, 0); /* no decoding */
    spi_send(0x0B, DIGITS - 1U);
    spi_send(0x0A, 8); /* intensity, half */
    for (uint8_t i = 0; i < DIGITS; i++)
        spi_send((uint8_t)(i + 1U), digits[i]);
    spi_send(0x0C, 1); /* leave shutdown */
}

void board_init(void)
{
    wdt_enable(WDTO_2S);
    PORTD = (uint8_t)(1U << BUTTON_PIN | 1U << PD0 | SPARE_D);
    DDRD = (uint8_t)(1U << BUZZER_PIN | 1U << CUT_PIN | 1U << PD1);
    PORTB = (uint8_t)(1U << CS_PIN | 1U << MISO_PIN | SPARE_B);
    PORTC = (uint8_t)SPARE_C;
    DDRB = (uint8_t)(1U << CS_PIN | 1U << MOSI_PIN | 1U << SCK_PIN);

    SPCR = (uint8_t)(1U << SPE | 1U << MSTR | 1U << SPR0); /* 1 MHz */

    UBRR0 = (uint16_t)(F_CPU / 16UL / UPK_BAUD - 1UL);
    UCSR0C = (uint8_t)(1U << UCSZ01 | 1U << UCSZ00);
    UCSR0B = (uint8_t)(1U << RXEN0 | 1U << TXEN0 | 1U << RXCIE0);

    ADMUX = (uint8_t)(1U << REFS0); /* AVcc */
    ADCSRA = (uint8_t)(1U << ADEN | 7U); /* 125 kHz */

    TCCR0A = (uint8_t)(1U << WGM01);
    OCR0A = (uint8_t)(F_CPU / 64UL / 1000UL - 1UL);
    TCCR0B = (uint8_t)(1U << CS01 | 1U << CS00);
    TIMSK0 = (uint8_t)(1U << OCIE0A);

    OCR2A = (uint8_t)(F_CPU / 64UL / 2000UL / 2UL - 1UL); /* 2 kHz, toggled */
    sei();
}

void board_idle(void)
{
    sleep_mode(); /* until the next millisecond or byte */
}

void board_pet_watchdog(void)
{
    wdt_reset();
}

void board_restart(void)
{
    cli();
    wdt_disable(); /* simavr keeps the old time otherwise */
    wdt_enable(WDTO_15MS);
    for (;;)
        ;
}

ISR(TIMER0_COMPA_vect)
{
    milliseconds++;
}

uint16_t board_ms(void)
{
    uint16_t now;
    ATOMIC_BLOCK(ATOMIC_RESTORESTATE)
    {
        now = milliseconds;
    }
    return now;
}

bool board_button_closed(void)
{
    return !(PIND & (1U << BUTTON_PIN));
}

bool board_mains_present(void)
{
    return PIND & (1U << MAINS_PIN);
}

void board_pi_power(bool on)
{
    if (on)
        PORTD &= (uint8_t) ~(1U << CUT_PIN);
    else
        PORTD |= (uint8_t)(1U << CUT_PIN);
}

void board_buzzer(bool on)
{
    TCCR2A = on ? (uint8_t)(1U << WGM21 | 1U << COM2B0) : 0;
    TCCR2B = on ? (uint8_t)(1U << CS22) : 0;
    if (!on)
        PORTD &= (uint8_t) ~(1U << BUZZER_PIN);
}

void board_adc_start(enum channel channel)
{
    ADMUX = (uint8_t)(1U << REFS0 | (uint8_t)channel);
    ADCSRA |= (uint8_t)(1U << ADSC);
}

bool board_adc_ready(uint16_t *counts)
{
    if (ADCSRA & (1U << ADSC))
        return false;
    *counts = ADC;
    return true;
}

ISR(USART_RX_vect)
{
    uint8_t bad = UCSR0A & (uint8_t)(1U << FE0);
    uint8_t byte = UDR0;
    uint8_t next = (uint8_t)((rx_head + 1U) % RX_RING);

    if (bad || next == rx_tail)
        return; /* the check sum finds the gap */
    rx_ring[rx_head] = byte;
    rx_head = next;
}

int16_t board_uart_get(void)
{
    if (rx_head == rx_tail)
        return -1;
    uint8_t byte = rx_ring[rx_tail];
    rx_tail = (uint8_t)((rx_tail + 1U) % RX_RING);
    return byte;
}

ISR(USART_UDRE_vect)
{
    if (tx_head == tx_tail) {
        UCSR0B &= (uint8_t) ~(1U << UDRIE0);
        return;
    }
    UDR0 = tx_ring[tx_tail];
    tx_tail = (uint8_t)((tx_tail + 1U) % TX_RING);
}

bool board_uart_put(const uint8_t *bytes, uint8_t length)
{
    uint8_t used = (uint8_t)((tx_head - tx_tail) & (TX_RING - 1U));

    if (length >= TX_RING - used)
        return false;
    for (uint8_t i = 0; i < length; i++) {
        tx_ring[tx_head] = bytes[i];
        tx_head = (uint8_t)((tx_head + 1U) % TX_RING);
    }
    ATOMIC_BLOCK(ATOMIC_RESTORESTATE)
    {
        UCSR0B |= (uint8_t)(1U << UDRIE0);
    }
    return true;
}

uint8_t board_eeprom_read(uint16_t address)
{
    return eeprom_read_byte((const uint8_t *)address);
}

void board_eeprom_write(uint16_t address, uint8_t byte)
{
    eeprom_update_byte((uint8_t *)address, byte);
}
