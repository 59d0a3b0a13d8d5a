/*
 * How a kernel tells that it met what it cannot serve: memory of the host that the GPU writes to. A header of its own, since
 * kernels are C++ and need nothing else of the device.
 */
#pragma once

#include <stdint.h>

/* What a kernel meets that it cannot serve, in memory of the host that the GPU writes to; where is set last. */
struct cuda_fault {
	/*
	 * 0: nothing. The complement of the address, on the host, of text that names the node and lives as long as the
	 * program: a number to kernels, which nobody is to take for memory of theirs.
	 */
	volatile uint64_t where;
	/* An index, and the dimension that it does not fit. */
	volatile long long index;
	volatile long long limit;
};
