/* The boot loader: 2 KiB, two banks, heals itself, gives a new application three chances.
 *
 * At reset: a valid bank B that differs from A is copied over A, A's meta page last, so that a power cut at any
 * page is repaired at the next start. Then A starts if it is valid and either confirmed or still on trial;
 * otherwise the loader stays and speaks the panel protocol. The Pi keeps its power all the while: the pin that
 * cuts it floats. Signatures are checked on the Pi. Written for size: globals instead of arguments. */
#include <avr/boot.h>
#include <avr/io.h>
#include <avr/pgmspace.h>
#include <avr/wdt.h>

#include "crc16.h"
#include "layout.h"
#include "link.h"
#include "protocol.h"

#define CHUNK 32U
#define IDLE_OVERFLOWS 7U /* 7 × 4.2 s without a frame: start the application again if that is allowed */
#define RESULT_DONE 0U
#define RESULT_BAD 1U
#define RESULT_NOT_NOW 2U
#define RESULT_SUM 4U
#define RESULT_WRITE 5U

static struct link link;
static struct meta meta_a, meta_b;
static struct meta pending; /* length 0: no upload runs */
static uint16_t next_chunk;
static uint8_t answer[2U + IDENTITY_SIZE + 3U]; /* sequence, type, payload, CRC, end */

static uint8_t ee_read(uint8_t address)
{
    while (EECR & (1U << EEPE))
        ;
    EEAR = address;
    EECR = 1U << EERE;
    return EEDR;
}

static void ee_write(uint8_t address, uint8_t byte)
{
    if (ee_read(address) == byte)
        return;
    EEDR = byte;
    EECR = 1U << EEMPE;
    EECR |= 1U << EEPE;
    while (EECR & (1U << EEPE))
        ;
}

static void erase_page(uint16_t address)
{
    boot_page_erase(address);
    boot_spm_busy_wait();
    boot_rww_enable();
}

/* Erases the page and writes the 64 words of the temporary buffer, which outlives the erase (datasheet 27.8.2). */
static void commit_page(uint16_t address)
{
    wdt_reset();
    boot_page_erase(address);
    boot_spm_busy_wait();
    boot_page_write(address);
    boot_spm_busy_wait();
    boot_rww_enable();
}

static uint16_t flash_crc(uint16_t address, uint16_t length)
{
    uint16_t crc = CRC16_START;

    wdt_reset();
    while (length--)
        crc = crc16_byte(crc, pgm_read_byte(address++));
    return crc;
}

/* Reads a bank's meta page and checks it and the image. */
static bool valid(uint16_t bank, struct meta *meta)
{
    uint8_t *bytes = (uint8_t *)meta;

    for (uint8_t i = 0; i < sizeof *meta; i++)
        bytes[i] = pgm_read_byte(bank + META_OFFSET + i);
    return meta->magic == META_MAGIC && meta->meta_crc == flash_crc(bank + META_OFFSET, sizeof *meta - 2U) &&
           meta->length - PAGE_BYTES <= IMAGE_MAX - PAGE_BYTES && flash_crc(bank, meta->length) == meta->crc;
}

static void write_meta(uint16_t bank, const struct meta *meta)
{
    const uint16_t *words = (const uint16_t *)meta;

    for (uint8_t i = 0; i < sizeof *meta; i += 2U)
        boot_page_fill(bank + META_OFFSET + i, *words++);
    commit_page(bank + META_OFFSET);
}

static void copy_b_to_a(void)
{
    /* A's meta is taken away first: a torn copy must not pass for the application before. */
    erase_page(BANK_A + META_OFFSET);
    for (uint16_t at = 0; at < meta_b.length;) {
        boot_page_fill(at, pgm_read_word(BANK_B + at));
        at += 2U;
        if ((uint8_t)at % PAGE_BYTES == 0 || at >= meta_b.length)
            commit_page((at - 1U) & ~(PAGE_BYTES - 1U));
    }
    ee_write(EEPROM_TRIAL, TRIAL_FRESH);
    write_meta(BANK_A, &meta_b);
}

/* Confirmed by the node, or one of the three chances is left and now taken. */
static bool may_start(void)
{
    uint8_t low = (uint8_t)meta_a.crc, high = (uint8_t)(meta_a.crc >> 8);
    uint8_t trial = ee_read(EEPROM_TRIAL);

    if (ee_read(EEPROM_CONFIRM) == low && ee_read(EEPROM_CONFIRM + 1U) == high &&
        (ee_read(EEPROM_CONFIRM + 2U) ^ low) == 0xFF && (ee_read(EEPROM_CONFIRM + 3U) ^ high) == 0xFF)
        return true;
    if ((trial | TRIAL_USED) == TRIAL_USED)
        return false;
    ee_write(EEPROM_TRIAL, (uint8_t)(trial << 1));
    return true;
}

/* Heals, then starts bank A when it is valid and allowed. */
static void try_start(void)
{
    bool good = valid(BANK_A, &meta_a);

    if (valid(BANK_B, &meta_b) && (!good || meta_a.meta_crc != meta_b.meta_crc || meta_a.crc != meta_b.crc)) {
        copy_b_to_a();
        good = valid(BANK_A, &meta_a);
    }
    if (good && may_start()) {
        wdt_reset(); /* the watchdog stays on: an application that hangs at once is reset */
        __asm volatile("jmp 0");
    }
}

static void put(uint8_t byte)
{
    while (!(UCSR0A & (1U << UDRE0)))
        ;
    UCSR0A = 1U << TXC0;
    UDR0 = byte;
}

/* Sends `answer` with `length` bytes of payload: CRC, then each COBS block as it is found. */
static void send(uint8_t length)
{
    uint16_t crc = CRC16_START;
    uint8_t *at = answer, *end = answer + 2U + length;

    while (at < end)
        crc = crc16_byte(crc, *at++);
    *at++ = (uint8_t)~(crc >> 8);
    *at++ = (uint8_t)~crc;
    end = at + 1;
    for (at = answer; at < end; at++) {
        uint8_t run = 0;
        while (at + run < end - 1 && at[run])
            run++;
        put(run + 1U);
        while (run--)
            put(*at++);
    }
    put(0);
    while (!(UCSR0A & (1U << TXC0)))
        ;
}

static void answer_hello(void)
{
    bool good = valid(BANK_A, &meta_a);

    answer[1] = MSG_IDENTITY;
    answer[2U + IDENTITY_PROTOCOL] = UPK_VERSION;
    answer[2U + IDENTITY_MODE] = 1;
    *(uint16_t *)(answer + 2U + IDENTITY_APP_VERSION) = good ? meta_a.version : 0;
    *(uint16_t *)(answer + 2U + IDENTITY_APP_CRC) = meta_a.crc;
    answer[2U + IDENTITY_RESET_CAUSE] = GPIOR0;
    *(uint32_t *)(answer + 2U + IDENTITY_UPTIME_S) = 0;
    *(uint16_t *)(answer + 2U + IDENTITY_BOOTS) = 0;
    send(IDENTITY_SIZE);
}

static uint8_t upload_begin(const uint16_t *words)
{
    pending.magic = META_MAGIC;
    pending.length = words[0];
    pending.crc = words[1];
    pending.version = words[2];
    next_chunk = 0;
    if (pending.version == 0 || pending.length - PAGE_BYTES > IMAGE_MAX - PAGE_BYTES) {
        pending.length = 0;
        return RESULT_BAD;
    }
    erase_page(BANK_B + META_OFFSET);
    return RESULT_DONE;
}

static uint8_t upload_data(const uint16_t *words)
{
    uint16_t chunk = *words++;
    uint16_t at = chunk * CHUNK;

    if (chunk + 1U == next_chunk)
        return RESULT_DONE; /* our answer was lost */
    if (chunk != next_chunk || at >= pending.length)
        return RESULT_BAD;
    next_chunk++;
    do {
        boot_page_fill(BANK_B + at, *words++);
        at += 2U;
    } while ((uint8_t)at % CHUNK);
    if ((uint8_t)at % PAGE_BYTES == 0 || at >= pending.length)
        commit_page(BANK_B + ((at - 1U) & ~(PAGE_BYTES - 1U)));
    return RESULT_DONE;
}

static uint8_t upload_commit(void)
{
    if (pending.length == 0)
        return RESULT_NOT_NOW;
    if (flash_crc(BANK_B, pending.length) != pending.crc)
        return RESULT_SUM;
    const uint8_t *bytes = (const uint8_t *)&pending;
    uint16_t crc = CRC16_START;
    for (uint8_t i = 0; i < sizeof pending - 2U; i++)
        crc = crc16_byte(crc, *bytes++);
    pending.meta_crc = crc;
    write_meta(BANK_B, &pending);
    ee_write(EEPROM_TRIAL, TRIAL_FRESH); /* also when it is the very application that used up its chances */
    return valid(BANK_B, &meta_b) ? RESULT_DONE : RESULT_WRITE;
}

static void dispatch(uint8_t length)
{
    uint8_t type = link.buffer[1];
    uint8_t result = RESULT_BAD;
    const uint16_t *words = (const uint16_t *)(link.buffer + 2);

    answer[0] = link.buffer[0];
    if (type == MSG_HELLO || type == MSG_ENTER_LOADER) {
        answer_hello();
        return;
    }
    if (type == MSG_UPLOAD_BEGIN && length == UPLOAD_BEGIN_SIZE)
        result = upload_begin(words);
    else if (type == MSG_UPLOAD_DATA && length == UPLOAD_DATA_MIN + CHUNK)
        result = upload_data(words);
    else if (type == MSG_UPLOAD_COMMIT)
        result = upload_commit();
    else if (type == MSG_START)
        result = RESULT_DONE;
    else if (type < MSG_UPLOAD_BEGIN)
        result = RESULT_NOT_NOW; /* the application's commands */
    answer[1] = MSG_DONE;
    answer[2U + DONE_COMMAND] = answer[0];
    answer[2U + DONE_RESULT] = result;
    send(DONE_SIZE);
    if (result == RESULT_DONE && type >= MSG_UPLOAD_COMMIT) {
        pending.length = 0;
        try_start();
    }
}

static void listen(void)
{
    uint8_t overflows = 0, length;

    UBRR0L = (uint8_t)(F_CPU / 16UL / UPK_BAUD - 1UL);
    UCSR0B = 1U << RXEN0 | 1U << TXEN0; /* 8N1 is the reset value of UCSR0C */
    TCCR1B = 1U << CS12 | 1U << CS10;   /* 15,625 counts a second, overflow after 4.2 s */
    link_receive(&link, 0, &length);
    for (;;) {
        wdt_reset();
        if (TIFR1 & (1U << TOV1)) {
            TIFR1 = 1U << TOV1;
            if (++overflows >= IDLE_OVERFLOWS)
                try_start();
        }
        if (UCSR0A & (1U << RXC0) && link_receive(&link, UDR0, &length)) {
            overflows = 0;
            dispatch(length);
        }
    }
}

int main(void)
{
    uint8_t cause = MCUSR;
    bool stay = loader_request == LOADER_MAGIC && (cause & (1U << WDRF)) && !(cause & (1U << PORF));

    MCUSR = 0;
    GPIOR0 = cause;
    loader_request = 0;
    wdt_enable(WDTO_2S);
    ee_read(0); /* a reset does not end a write of the application's, and no page can be written while it runs */
    if (!stay)
        try_start();
    listen();
}
