/*
 * What tokenizers must know of characters, from utf8proc's tables. Also the FFI's declaration in workers (embedded as text),
 * so it holds plain declarations only. Any thread.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* A code point's general category as Unicode abbreviates it: 'L' << 8 | 'u' for Lu. Cn for what is no code point. */
uint32_t
unicode_category(int32_t code);

/* Its lower-case form, itself when it has none. One code point to one. */
int32_t
unicode_lower(int32_t code);

enum { UNICODE_PARTS_MAX = 18 };

/* Its canonical decomposition, to the end; itself when it has none. How many parts. */
uint32_t
unicode_decompose(int32_t code, int32_t parts[UNICODE_PARTS_MAX]);
