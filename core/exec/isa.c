#include "exec/isa.h"

#include <oneapi/dnnl/dnnl.h>

#if defined(__x86_64__)

/* oneDNN's sets are bits, but not in order: AVX2 with VNNI is the larger number than AVX-512. */
static bool
has(dnnl_cpu_isa_t wanted)
{
	return ((unsigned)dnnl_get_effective_cpu_isa() & (unsigned)wanted) == (unsigned)wanted;
}

enum isa
isa_level(void)
{
	if (has(dnnl_cpu_isa_avx512_core))
		return ISA_AVX512;
	if (has(dnnl_cpu_isa_avx2) && __builtin_cpu_supports("fma"))
		return ISA_AVX2;
	return has(dnnl_cpu_isa_sse41) ? ISA_SSE41 : ISA_PLAIN;
}
#else
enum isa
isa_level(void)
{
	return ISA_PLAIN;
}
#endif
