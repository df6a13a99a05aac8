import { measureHeapGrowth } from '../src/measured/heap-growth.ts';

/** Allocates one small object per request and keeps none: what a careless hot path does. */
const REQUESTS = 200_000;
let kept: { request: number } | undefined;

function careless(): void {
  for (let request = 0; request < REQUESTS; request++) kept = { request };
}

careless();
const growth = await measureHeapGrowth(careless);
process.stdout.write(JSON.stringify({ ...growth, perRequest: growth.bytes / REQUESTS, last: kept?.request }));
