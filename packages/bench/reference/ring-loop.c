/*
 * A split ring in its steady state, both ends in one thread: the reference for RingLoop in ring-loop.ts.
 *
 * usage: ring-loop <requests> <samples> <indirect: 0 or 1>; prints nanoseconds per request, one sample a line.
 */
#include "split-ring.h"

static unsigned long run(unsigned long requests, const struct segment *list)
{
	unsigned long done = 0;

	while (done < requests) {
		uint32_t writable;
		int head;
		for (unsigned i = 0; i < DEPTH; i++)
			if (split_add(list, SEGMENTS) < 0)
				fail("the queue is full");
		split_publish();
		while ((head = split_pop(&writable)) >= 0)
			split_push((unsigned)head, writable);
		split_flush();
		if (split_take_used(DEPTH) != DEPTH)
			fail("requests went missing");
		done += DEPTH;
	}
	return done;
}

int main(int argc, char **argv)
{
	static char buffer[4096];
	struct segment list[SEGMENTS] = {
		{ (uint64_t)(uintptr_t)buffer, 16, 0 },
		{ (uint64_t)(uintptr_t)buffer + 16, 512, 0 },
		{ (uint64_t)(uintptr_t)buffer + 528, 1, 1 },
	};
	unsigned long requests, samples;

	if (argc != 4) {
		fprintf(stderr, "usage: ring-loop <requests> <samples> <indirect: 0 or 1>\n");
		return 2;
	}
	requests = strtoul(argv[1], NULL, 10);
	samples = strtoul(argv[2], NULL, 10);
	indirect = argv[3][0] == '1';
	open_split_ring();
	run(requests, list);
	for (unsigned long i = 0; i < samples; i++) {
		double start = now();
		unsigned long sent = run(requests, list);
		printf("%.3f\n", (now() - start) / (double)sent);
	}
	return 0;
}
