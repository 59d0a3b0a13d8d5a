#include <stdio.h>

int
main(void)
{
	puts("tidepool");
	return 0;
}
