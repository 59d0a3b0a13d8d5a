/*
 * The memory that LuaJIT keeps compiled code in. LuaJIT maps it by itself, so abandoning a Lua state would leak it. A state
 * that is to be abandonable is given one area of MACHINE_CODE_BYTES (jit.opt: sizemcode = maxmcode), tells where each new
 * trace lies (jit.attach), and the area is found from there: code is laid down from its end. What is found is checked
 * against the area's own header (lj_mcode.c, struct MCLink) and left alone if it is not as expected.
 */
#pragma once

#include <stdint.h>

enum { MACHINE_CODE_BYTES = 512 << 10 };

/* Start of the area whose first trace ends at `end`; 0 when no area of that size is there. */
uintptr_t
machine_code_area(uintptr_t end);

/* Unmap the area, and take its unwind record (LuaJIT registers one) out of the unwinder's list. 0 does nothing. */
void
machine_code_free(uintptr_t area);
