/*
 * A raw copy of memory: the reference for what a platform copies through its pool.
 *
 * usage: <bytes> <copies of a sample> <samples>; prints nanoseconds per copy, one sample a line.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
}

int main(int argc, char **argv)
{
	unsigned long bytes = argc == 4 ? strtoul(argv[1], NULL, 10) : 0;
	unsigned long copies = argc == 4 ? strtoul(argv[2], NULL, 10) : 0;
	unsigned long samples = argc == 4 ? strtoul(argv[3], NULL, 10) : 0;
	char *from = calloc(1, bytes + 1), *to = calloc(1, bytes + 1);

	if (bytes == 0 || copies == 0 || !from || !to)
		return 2;
	memset(from, 1, bytes);
	memset(to, 2, bytes);
	for (unsigned long i = 0; i <= samples; i++) {
		double start = now();
		for (unsigned long k = 0; k < copies; k++) {
			memcpy(to, from, bytes);
			/* The copy is needed. */
			__asm__ volatile("" : : "r"(to), "r"(from) : "memory");
		}
		if (i > 0)
			printf("%.3f 0\n", (now() - start) / (double)copies);
	}
	return 0;
}
