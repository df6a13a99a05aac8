/* A split ring, and loops that play one of its ends: they check nothing and write the ring's words. */
#include "split-ring.h"

static unsigned descriptors_of_request;
static struct list list;
static int fill_list(void);

static uint16_t peer_avail_idx, peer_used_idx;

/* Returns the requests that the driver made available. */
__attribute__((noinline)) static void play_device(unsigned count)
{
	uint32_t written = descriptors_of_request == 1 ? 512 : 1;

	for (unsigned i = 0; i < count; i++) {
		unsigned slot = peer_used_idx++ & (size - 1);
		used->ring[slot] = (struct used_element){ avail[2 + slot], written };
	}
	publish_field(used->idx, peer_used_idx);
}

/* Makes chains available that lie in the table since prepare_driver. */
__attribute__((noinline)) static void play_driver(unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		avail[2 + (peer_avail_idx++ & (size - 1))] = (uint16_t)(i * descriptors_of_request);
	publish_field(avail[1], peer_avail_idx);
}

static void prepare_driver(unsigned count)
{
	fill_list();
	for (unsigned i = 0; i < count * descriptors_of_request; i++)
		descriptors[i] = describe(&list, i % descriptors_of_request, i + 1);
}

#include "measure.h"
