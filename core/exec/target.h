/*
 * Marks loops that are compiled once for each instruction set and chosen when the program starts. Sanitizers, whose
 * runtime is not up yet when the choice is made, and compilers that cannot do it get the baseline only. (Features, not
 * "arch=": with those GCC 12 does not vectorise.)
 */
#pragma once

#if defined(__GNUC__) && !defined(__clang__) && defined(__x86_64__) &&                             \
	!defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define TARGET_CLONES __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define TARGET_CLONES
#endif

/*
 * Before a loop whose turns do not depend on each other, though it may write over what it reads, element by element: without
 * it the compiler's vectorised code is for results elsewhere only.
 */
#if defined(__clang__)
#define IN_PLACE_LOOP _Pragma("clang loop vectorize(assume_safety)")
#else
#define IN_PLACE_LOOP _Pragma("GCC ivdep")
#endif
