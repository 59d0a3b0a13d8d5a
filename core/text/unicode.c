#include "text/unicode.h"

#include <stdbool.h>
#include <utf8proc.h>

static bool
is_code_point(int32_t code)
{
	return code >= 0 && utf8proc_codepoint_valid(code);
}

uint32_t
unicode_category(int32_t code)
{
	const char *name = is_code_point(code) ? utf8proc_category_string(code) : "Cn";
	return (uint32_t)(unsigned char)name[0] << 8 | (unsigned char)name[1];
}

int32_t
unicode_lower(int32_t code)
{
	return is_code_point(code) ? utf8proc_tolower(code) : code;
}

uint32_t
unicode_decompose(int32_t code, int32_t parts[UNICODE_PARTS_MAX])
{
	int boundary = 0;
	utf8proc_ssize_t count = -1;
	if (is_code_point(code))
		count = utf8proc_decompose_char(code, parts, UNICODE_PARTS_MAX, UTF8PROC_DECOMPOSE,
						&boundary);
	if (count > 0 && count <= UNICODE_PARTS_MAX)
		return (uint32_t)count;
	parts[0] = code;
	return 1;
}
