/*
 * Which instructions our kernels for the host may use: what this processor has, of that no more than oneDNN is allowed
 * (ONEDNN_MAX_CPU_ISA, which so caps both). Loops marked TARGET_CLONES (exec/target.h) choose by the processor alone.
 */
#pragma once

#include <stdbool.h>

enum isa {
	/* The compiler's baseline, and processors of other kinds. */
	ISA_PLAIN,
	ISA_SSE41,
	/* With fused multiply-add. */
	ISA_AVX2,
	/* F, BW, DQ and VL. */
	ISA_AVX512,
};

/* The highest one. Any thread; the answer is the same for as long as the process lives. */
enum isa
isa_level(void);
