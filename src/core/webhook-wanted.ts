import type { Store } from '../store/open.ts';
import { enabledWebhooks } from '../store/webhooks.ts';
import type { Feed } from './feed.ts';

/** Whether a webhook may want what is told now. */
export type AnyWebhook = () => boolean | Promise<boolean>;

/**
 * Remembers whether there is any enabled webhook, so that a fleet without one pays nothing for them when it is told something (20 to 30 µs a
 * notification on SQLite, a statement in the packet on MariaDB). Where that is not known for sure, the answer is yes. What another daemon
 * tells in the second after the first webhook was made may be told without it: its cache is as old as that of the tokens (feed.ts).
 */
export const createAnyWebhook = (store: Store, feed: Feed): AnyWebhook => {
	let known: boolean | null = null;
	let forgotten = 0;
	feed.onChange((topic) => {
		if (topic !== null && topic !== 'webhook') return;
		known = null;
		forgotten++;
	});
	const ask = async (): Promise<boolean> => {
		const since = forgotten;
		try {
			const any = (await enabledWebhooks.first(store.read, {})) !== undefined;
			if (since === forgotten) known = any;
			return any;
		} catch {
			return true;
		}
	};
	return () => {
		if (!feed.fresh()) return true;
		return known ?? ask();
	};
};
