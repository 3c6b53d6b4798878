/* The board as a program: simavr runs the very same flash image, with the UART on a pty, the display decoded,
 * buttons, voltages and mains by lines on standard input, and power cuts at any flash or EEPROM write.
 *
 * A separate test program: libsimavr is GPL-3. Lines in: "button 0|1", "press MS" and "bounce 0|1" (both in the
 * board's time), "mains 0|1", "adc CHANNEL MILLIVOLT", "reset", "cut", "quit". Lines out: "pty PATH", "pi on|off",
 * "display ABCDEFGH", "buzz on|off", "released", "watchdog", "op N KIND ADDRESS" (with -t), "cut N", "ops N". Exit
 * status 9 after a power cut. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include <simavr/avr_adc.h>
#include <simavr/avr_extint.h>
#include <simavr/avr_ioport.h>
#include <simavr/avr_spi.h>
#include <simavr/avr_watchdog.h>

#include "sim.h"

#define BOOT_START 0x7800
#define MCUSR_ADDRESS 0x54
#define EECR_ADDRESS 0x3F
#define UBRR0L_ADDRESS 0xC4
#define DDRD_ADDRESS 0x2A
#define PORTD_ADDRESS 0x2B
#define TCCR2A_ADDRESS 0xB0
#define BOUNCE_CYCLES 64000 /* 4 ms */

struct sim sim = {.pi_on = true, .uart_factor = 1};

void die(const char *what)
{
    fprintf(stderr, "panel_sim: %s: %s\n", what, strerror(errno));
    exit(2);
}

static void uart_out(avr_irq_t *irq, uint32_t value, void *param)
{
    (void)irq;
    (void)param;
    uint8_t byte = (uint8_t)value;

    if (write(sim.pty, &byte, 1) != 1 && errno != EAGAIN && errno != EIO)
        die("pty");
}

/* The line's speed was set; a test that repeats hundreds of uploads has it faster (-u). */
static void baud_written(avr_t *avr, avr_io_addr_t address, uint8_t value, void *param)
{
    (void)avr;
    (void)address;
    (void)value;
    (void)param;
    sim.uart->cycles_per_byte /= sim.uart_factor;
}

static void uart_xon(avr_irq_t *irq, uint32_t value, void *param)
{
    (void)irq;
    (void)value;
    (void)param;
    sim.xoff = false;
}

static void uart_xoff(avr_irq_t *irq, uint32_t value, void *param)
{
    (void)irq;
    (void)value;
    (void)param;
    sim.xoff = true;
}

static char glyph(uint8_t segments)
{
    static const uint8_t shapes[] = {0x7E, 0x30, 0x6D, 0x79, 0x33, 0x5B, 0x5F, 0x70, 0x7F, 0x7B, 0x77,
                                     0x1F, 0x4E, 0x3D, 0x4F, 0x47, 0x37, 0x0E, 0x67, 0x3E, 0x01, 0x00};
    static const char glyphs[] = "0123456789AbCdEFHLPU- ";

    for (size_t i = 0; i < sizeof shapes; i++)
        if (shapes[i] == (segments & 0x7F))
            return glyphs[i];
    return '?';
}

static void spi_out(avr_irq_t *irq, uint32_t value, void *param)
{
    (void)irq;
    (void)param;
    sim.spi[0] = sim.spi[1];
    sim.spi[1] = (uint8_t)value;
    sim.spi_bytes++;
}

static void display_select(avr_irq_t *irq, uint32_t value, void *param)
{
    (void)irq;
    (void)param;
    if (!value) {
        sim.spi_bytes = 0;
        return;
    }
    if (sim.spi_bytes != 2)
        return;
    uint8_t reg = sim.spi[0] & 0x0F;
    if (reg >= 1 && reg <= 8 && sim.digits[reg - 1] != sim.spi[1]) {
        sim.digits[reg - 1] = sim.spi[1];
    } else if (reg == 0x0C && (sim.spi[1] & 1)) {
        static char shown[17];
        char now[17];
        int length = 0;
        for (int i = 7; i >= 0; i--) {
            now[length++] = glyph(sim.digits[i]);
            if (sim.digits[i] & 0x80)
                now[length++] = '.';
        }
        now[length] = 0;
        if (strcmp(now, shown)) {
            memcpy(shown, now, sizeof shown);
            printf("display %s\n", now);
        }
    }
}

static void pins(void)
{
    const uint8_t *data = sim.avr->data;
    bool pi_on = !((data[DDRD_ADDRESS] & 0x10) && (data[PORTD_ADDRESS] & 0x10));
    bool buzz = (data[TCCR2A_ADDRESS] & 0x30) != 0;

    if (pi_on != sim.pi_on)
        printf("pi %s\n", pi_on ? "on" : "off");
    if (buzz != sim.buzz)
        printf("buzz %s\n", buzz ? "on" : "off");
    sim.pi_on = pi_on;
    sim.buzz = buzz;
}

/* Drives an input of port D from outside. simavr works the pins out anew at each write to the port, from the
 * pull-ups and from what is told to it here, so both are needed. */
static void raise_pin(int bit, int level)
{
    static avr_ioport_external_t outside = {.name = 'D'};

    outside.mask |= 1u << bit;
    outside.value = (outside.value & ~(1u << bit)) | (unsigned)(level ? 1 : 0) << bit;
    avr_ioctl(sim.avr, AVR_IOCTL_IOPORT_SET_EXTERNAL('D'), &outside);
    avr_raise_irq(avr_io_getirq(sim.avr, AVR_IOCTL_IOPORT_GETIRQ('D'), bit), (uint32_t)level);
}

/* The contact opens again, after as much of the board's time as was asked for. */
static avr_cycle_count_t release(avr_t *avr, avr_cycle_count_t when, void *param)
{
    (void)avr;
    (void)when;
    (void)param;
    raise_pin(2, 1);
    printf("released\n");
    return 0;
}

static struct {
    int level, changes_left;
} bouncing;

/* Changes the contact's level every 4 ms, and stays at the wanted one in the end. */
static avr_cycle_count_t bounce(avr_t *avr, avr_cycle_count_t when, void *param)
{
    (void)avr;
    (void)param;
    raise_pin(2, bouncing.changes_left % 2 ? bouncing.level : !bouncing.level);
    return --bouncing.changes_left > 0 ? when + BOUNCE_CYCLES : 0;
}

static void command(const char *line)
{
    int a, b;

    if (sscanf(line, "button %d", &a) == 1)
        raise_pin(2, !a);
    else if (sscanf(line, "press %d", &a) == 1) {
        raise_pin(2, 0);
        avr_cycle_timer_register_usec(sim.avr, (uint32_t)a * 1000u, release, NULL);
    } else if (sscanf(line, "bounce %d", &a) == 1) {
        bouncing.level = !a;
        bouncing.changes_left = 5;
        avr_cycle_timer_register(sim.avr, BOUNCE_CYCLES, bounce, NULL);
    } else if (sscanf(line, "mains %d", &a) == 1)
        raise_pin(6, a);
    else if (sscanf(line, "adc %d %d", &a, &b) == 2)
        avr_raise_irq(avr_io_getirq(sim.avr, AVR_IOCTL_ADC_GETIRQ, a), (uint32_t)b);
    else if (!strcmp(line, "reset")) {
        avr_reset(sim.avr);
        sim.avr->data[MCUSR_ADDRESS] = 2;
    } else if (!strcmp(line, "cut"))
        power_cut();
    else if (!strcmp(line, "quit")) {
        save_state();
        printf("ops %lu\n", sim.ops);
        exit(0);
    } else
        fprintf(stderr, "panel_sim: not understood: %s\n", line);
}

/* Standard input and the pty; waits at most so many milliseconds for them. */
static void poll_outside(int wait_ms)
{
    static char line[128];
    static size_t length;
    struct pollfd fds[] = {{.fd = 0, .events = POLLIN}, {.fd = sim.pty, .events = sim.xoff ? 0 : POLLIN}};

    if (poll(fds, 2, wait_ms) <= 0)
        return;
    if (fds[0].revents) {
        char c;
        ssize_t got = read(0, &c, 1);
        if (got == 0)
            command("quit");
        while (got == 1) {
            if (c == '\n' || length == sizeof line - 1) {
                line[length] = 0;
                length = 0;
                command(line);
            } else
                line[length++] = c;
            got = poll(fds, 1, 0) == 1 ? read(0, &c, 1) : 0;
        }
    }
    if (fds[1].revents & POLLIN) {
        uint8_t byte;
        while (!sim.xoff && read(sim.pty, &byte, 1) == 1)
            avr_raise_irq(avr_io_getirq(sim.avr, AVR_IOCTL_UART_GETIRQ('0'), UART_IRQ_INPUT), byte);
    }
}

static void open_pty(const char *link_path)
{
    int slave;
    char name[256];
    struct termios raw = {0};

    cfmakeraw(&raw);
    if (openpty(&sim.pty, &slave, name, &raw, NULL))
        die("openpty");
    fcntl(sim.pty, F_SETFL, O_NONBLOCK);
    if (link_path) {
        unlink(link_path);
        if (symlink(name, link_path))
            die(link_path);
    }
    printf("pty %s\n", name);
}

static void *io_named(const char *kind)
{
    for (avr_io_t *io = sim.avr->io_port; io; io = io->next)
        if (!strcmp(io->kind, kind))
            return io;
    fprintf(stderr, "panel_sim: simavr has no %s\n", kind);
    exit(2);
}

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* A sleeping processor costs no time of ours; run() keeps the pace. */
static void no_sleep(avr_t *avr, avr_cycle_count_t cycles)
{
    (void)avr;
    (void)cycles;
}

/* Virtual time follows real time × speed; a host that is late is not chased faster than it can. */
static void run(double speed)
{
    double began = now_s();
    avr_cycle_count_t base = sim.avr->cycle;
    avr_cycle_count_t next = base;
    bool was_watchdog = false;

    for (;;) {
        int state = avr_run(sim.avr);
        if (state == cpu_Done || state == cpu_Crashed) {
            printf("crashed %04x\n", sim.avr->pc);
            save_state();
            exit(3);
        }
        bool watchdog = sim.avr->data[MCUSR_ADDRESS] & 8;
        if (watchdog && !was_watchdog) {
            printf("watchdog\n");
            sim.avr->pc = BOOT_START;
        }
        was_watchdog = watchdog;
        if (sim.avr->cycle < next)
            continue;
        next = sim.avr->cycle + 4000; /* a quarter of a millisecond */
        pins();
        double ahead = (double)(sim.avr->cycle - base) / 16e6 / speed - (now_s() - began);
        poll_outside(ahead > 0.001 ? (int)(ahead * 1e3) : 0);
        if (ahead < -0.5) {
            began = now_s();
            base = sim.avr->cycle;
        }
    }
}

int main(int argc, char **argv)
{
    const char *boot = NULL, *app = NULL, *link_path = NULL;
    double speed = 1;
    int option;

    while ((option = getopt(argc, argv, "b:a:d:l:s:c:r:u:t")) != -1) {
        switch (option) {
        case 'b': boot = optarg; break;
        case 'a': app = optarg; break;
        case 'd': sim.state = optarg; break;
        case 'l': link_path = optarg; break;
        case 's': speed = atof(optarg); break;
        case 'c': sim.cut_at = strtoul(optarg, NULL, 10); break;
        case 'r': sim.seed = (unsigned)strtoul(optarg, NULL, 10); break;
        case 'u': sim.uart_factor = (unsigned)atoi(optarg); break;
        case 't': sim.trace = true; break;
        default:
            fprintf(stderr, "usage: panel_sim -b boot.bin [-a app.bin] [-d state dir] [-l link to the pty] [-s speed]\n"
                            "                 [-c cut at the n-th write] [-r seed] [-u times the baud rate] [-t]\n");
            return 2;
        }
    }
    if (!boot)
        die("-b boot.bin is needed");
    setvbuf(stdout, NULL, _IOLBF, 0);
    sim.avr = avr_make_mcu_by_name("atmega328p");
    avr_init(sim.avr);
    sim.avr->frequency = 16000000;
    sim.avr->vcc = sim.avr->avcc = sim.avr->aref = 5000;
    sim.avr->log = LOG_ERROR;
    sim.avr->sleep = no_sleep;
    sim.flash = io_named("flash");
    sim.eeprom = io_named("eeprom");
    sim.uart = io_named("uart");

    memset(sim.avr->flash, 0xFF, FLASH_BYTES);
    memset(sim.eeprom->eeprom, 0xFF, EEPROM_BYTES);
    bool known = load("flash.bin", sim.avr->flash, FLASH_BYTES);
    load("eeprom.bin", sim.eeprom->eeprom, EEPROM_BYTES);
    if (!known && app)
        install(app);
    FILE *loader = fopen(boot, "rb");
    if (!loader || fread(sim.avr->flash + BOOT_START, 1, FLASH_BYTES - BOOT_START, loader) == 0)
        die(boot);
    fclose(loader);
    memcpy(sim.eeprom_shadow, sim.eeprom->eeprom, EEPROM_BYTES);

    sim.flash_ioctl = sim.flash->io.ioctl;
    sim.flash->io.ioctl = flash_ioctl;
    avr_register_io_write(sim.avr, EECR_ADDRESS, eeprom_written, NULL);
    avr_register_io_write(sim.avr, UBRR0L_ADDRESS, baud_written, NULL);
    uint32_t flags = 0;
    avr_ioctl(sim.avr, AVR_IOCTL_UART_GET_FLAGS('0'), &flags);
    flags &= ~(uint32_t)(AVR_UART_FLAG_STDIO | AVR_UART_FLAG_POOL_SLEEP | AVR_UART_FLAG_POLL_SLEEP);
    avr_ioctl(sim.avr, AVR_IOCTL_UART_SET_FLAGS('0'), &flags);
    avr_irq_register_notify(avr_io_getirq(sim.avr, AVR_IOCTL_UART_GETIRQ('0'), UART_IRQ_OUTPUT), uart_out, NULL);
    avr_irq_register_notify(avr_io_getirq(sim.avr, AVR_IOCTL_UART_GETIRQ('0'), UART_IRQ_OUT_XON), uart_xon, NULL);
    avr_irq_register_notify(avr_io_getirq(sim.avr, AVR_IOCTL_UART_GETIRQ('0'), UART_IRQ_OUT_XOFF), uart_xoff, NULL);
    avr_irq_register_notify(avr_io_getirq(sim.avr, AVR_IOCTL_SPI_GETIRQ(0), SPI_IRQ_OUTPUT), spi_out, NULL);
    avr_irq_register_notify(avr_io_getirq(sim.avr, AVR_IOCTL_IOPORT_GETIRQ('B'), 2), display_select, NULL);

    /* INT0 and INT1 are not used, but simavr would look at their pins in every cycle while one is low, which is a
     * hundred times slower; a reset would switch that on again. */
    avr_extint_set_strict_lvl_trig(sim.avr, 0, 0);
    avr_extint_set_strict_lvl_trig(sim.avr, 1, 0);
    ((avr_io_t *)io_named("extint"))->reset = NULL;
    sim.avr->reset_pc = BOOT_START;
    avr_reset(sim.avr);
    sim.avr->data[MCUSR_ADDRESS] = 1;
    open_pty(link_path);
    raise_pin(2, 1);
    raise_pin(6, 1);
    avr_raise_irq(avr_io_getirq(sim.avr, AVR_IOCTL_ADC_GETIRQ, 0), 2290); /* 12.7 V behind the divider */
    avr_raise_irq(avr_io_getirq(sim.avr, AVR_IOCTL_ADC_GETIRQ, 1), 2290);
    run(speed);
    return 0;
}
