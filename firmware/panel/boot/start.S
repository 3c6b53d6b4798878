; The loader needs no interrupt vectors: reset comes here (BOOTRST fuse), and so does the application's jump.
; Zero register, stack, zeroed variables, then main.
#include <avr/io.h>

.section .vectors, "ax"
.global __vectors
__vectors:
    clr r1
    out _SFR_IO_ADDR(SREG), r1
    ldi r28, lo8(__stack)
    ldi r29, hi8(__stack)
    out _SFR_IO_ADDR(SPH), r29
    out _SFR_IO_ADDR(SPL), r28
    ldi r26, lo8(__bss_start)
    ldi r27, hi8(__bss_start)
    ldi r25, hi8(__bss_end)
    rjmp 2f
1:  st X+, r1
2:  cpi r26, lo8(__bss_end)
    cpc r27, r25
    brne 1b
    rjmp main
