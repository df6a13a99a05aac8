/*
 * One end of a split ring, the other one played by a loop that checks nothing and writes the ring's words: the reference for
 * RingEnd in ring-end.ts.
 *
 * usage: split-end <driver or device> <1 or 3 descriptors> <requests> <samples>; prints nanoseconds per request of the end with
 * the loop, and of the loop alone, one sample of both a line.
 */
#include "split-ring.h"
#include "one-end.h"

static uint16_t peer_avail_idx, peer_used_idx;

/* Returns the requests that the driver made available. */
__attribute__((noinline)) static void play_device(void)
{
	for (unsigned i = 0; i < DEPTH; i++) {
		uint16_t slot = peer_used_idx & (SIZE - 1);
		used->ring[slot] = (struct used_element){ avail->ring[slot], written_bytes };
		peer_used_idx++;
	}
	__atomic_store_n(&used->idx, peer_used_idx, __ATOMIC_SEQ_CST);
}

/* Makes chains available that lie in the table since `prepare_driver`. */
__attribute__((noinline)) static void play_driver(void)
{
	for (unsigned i = 0; i < DEPTH; i++)
		avail->ring[peer_avail_idx++ & (SIZE - 1)] = (uint16_t)(i * descriptors_of_request);
	__atomic_store_n(&avail->idx, peer_avail_idx, __ATOMIC_SEQ_CST);
}

static void prepare_driver(void)
{
	for (unsigned i = 0; i < DEPTH * descriptors_of_request; i++) {
		unsigned at = i % descriptors_of_request;
		descriptors[i] = describe(&request[at], at == descriptors_of_request - 1, (uint16_t)(i + 1));
	}
}

static void drive(void)
{
	for (unsigned i = 0; i < DEPTH; i++)
		if (split_add(request, descriptors_of_request) < 0)
			fail("the queue is full");
	split_publish();
	play_device();
	if (split_take_used(DEPTH) != DEPTH)
		fail("requests went missing");
}

static void serve(void)
{
	uint32_t writable;
	unsigned done = 0;
	int head;

	play_driver();
	for (; (head = split_pop(&writable)) >= 0; done++)
		split_push((unsigned)head, writable);
	split_flush();
	if (done != DEPTH)
		fail("requests went missing");
}

int main(int argc, char **argv)
{
	open_split_ring();
	prepare_request(argc, argv);
	prepare_driver();
	return plays_driver ? measure(serve, play_driver) : measure(drive, play_device);
}
