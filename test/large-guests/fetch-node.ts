/** `npm run fetch-node`: fetches a Node that has large guests, so that the tests themselves need no network. */
import { fetchLargeNode } from './large-node.ts';

console.log(fetchLargeNode());
