import type { Clock } from '../deps.ts';
import { SpotError } from '../errors.ts';
import { createFlights } from '../flights.ts';
import { type View, viewOfHost, viewsOfHosts } from '../store/host-view.ts';
import { databaseUnavailable, type Store } from '../store/open.ts';
import { type Cache, createCache } from './cache.ts';
import type { Caller } from './caller.ts';
import type { Feed } from './feed.ts';

/** At most this many hosts are remembered: about 60 MB. */
const LIMIT = 100_000;

/** How many hosts are read at once, and how many such reads may be under way. */
const MOST = 64;
const FLIGHTS = 2;

/** Hosts by handle, remembered until something about their agent changes; routine calls are answered from here. */
export type Directory = {
	/** What is known of a handle; null when nobody ever got it. Errors: 503 when the database cannot say. */
	view(handle: string): View | null | Promise<View | null>;
	/** The host a host route is about: the handle's own, or for an admin the agent's primary (identity.md section 7). */
	hostOf(handle: string, caller: Caller): View | Promise<View>;
	readonly cache: Cache<View>;
};

type Unknown = { readonly handle: string; readonly accept: (view: View | undefined) => void; readonly reject: (error: unknown) => void };

export const createDirectory = (store: Store, clock: Pick<Clock, 'after' | 'elapsed'>, feed: Feed): Directory => {
	const cache = createCache<View>(LIMIT);
	feed.onChange((topic, key) => {
		if (topic === null) cache.forgetAll();
		else if (topic === 'agent') cache.forget(key);
	});

	/** What is asked for while others are being read is read together. */
	const read = createFlights<Unknown>(
		clock,
		{ most: MOST, flights: FLIGHTS, late: ({ reject }) => reject(databaseUnavailable()) },
		async (batch) => {
			try {
				const handles = [...new Set(batch.map(({ handle }) => handle))];
				const [only] = handles;
				const alone = handles.length === 1 && only !== undefined;
				const found = alone ? await viewOfHost.all(store.read, { handle: only }) : await viewsOfHosts.all(store.read, { handles });
				const byHandle = new Map(found.map((view) => [view.handle, view]));
				for (const { handle, accept } of batch) accept(byHandle.get(handle));
			} catch (error) {
				for (const { reject } of batch) reject(error);
			}
		},
	);

	const load = async (handle: string): Promise<View | null> => {
		if (!feed.fresh()) await feed.refresh();
		const known = cache.get(handle);
		if (known !== undefined) return known;
		const since = cache.moment();
		const found = await new Promise<View | undefined>((accept, reject) => read({ handle, accept, reject }));
		if (found === undefined) return null;
		cache.put(handle, found.agent_id, found, since);
		return found;
	};

	const view = (handle: string): View | null | Promise<View | null> => {
		const known = cache.get(handle);
		return known !== undefined && feed.fresh() ? known : load(handle);
	};

	const permitted = (found: View | null, handle: string, caller: Caller): View | Promise<View> => {
		if (found === null) throw noAgent(handle);
		const { principal } = caller;
		if (principal?.kind === 'client') {
			if (principal.clientId !== found.client_id) throw noAgent(handle);
			return found;
		}
		if (found.primary_handle === null || found.primary_handle === found.handle) return found;
		return Promise.resolve(view(found.primary_handle)).then((primary) => primary ?? found);
	};

	return {
		cache,
		view,
		hostOf: (handle, caller) => {
			const found = view(handle);
			return found instanceof Promise ? found.then((known) => permitted(known, handle, caller)) : permitted(found, handle, caller);
		},
	};
};

/** What an unknown handle, or one of another client, gets: 404 without telling which of the two. */
export const noAgent = (id: string): SpotError =>
	new SpotError('missing', 'NOT_FOUND', `no agent "${id.slice(0, 80)}"`, { hint: 'see: spotctl agents list' });
