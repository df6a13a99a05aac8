/** `npm run fetch-node`: fetches the releases of Node that tests run, so that the tests themselves need no network. */
import { fetchLargeNode, fetchNode, NODE_RELEASES } from './large-node.ts';

console.log(fetchLargeNode());
for (const release of NODE_RELEASES) console.log(fetchNode(release));
