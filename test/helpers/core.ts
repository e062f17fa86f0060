import { type Input, type Name, operations } from '../../src/contract/index.ts';
import type { CoreName, Principal } from '../../src/core/caller.ts';
import { type Core, createCore } from '../../src/core/index.ts';
import { type Clock, systemIds } from '../../src/deps.ts';
import { openStore, type Store } from '../../src/store/open.ts';
import { prepare } from './schema.ts';
import { CORE_SETTINGS } from './settings.ts';

const quiet = () => undefined;

export const ADMIN: Principal = { kind: 'admin', scope: 'admin', tokenId: null, name: 'tester' };

/** The real core on a database, without HTTP and without background work, at a time of the test's choosing. */
export type TestCore = {
	readonly core: Core;
	readonly store: Store;
	readonly clock: Clock;
	/** Statements sent since the last look. */
	statements(): string[];
	advance(ms: number): void;
	call<N extends CoreName>(name: N, input: Input<N>, principal?: Principal): Promise<Awaited<ReturnType<Core['handlers'][N]>>>;
	/** Makes a client and answers who its agents are. */
	client(name: string): Promise<Principal & { readonly kind: 'client' }>;
	close(): Promise<void>;
};

export const startCore = async (url: string, at = '2021-03-04T05:06:07Z'): Promise<TestCore> => {
	let now = Date.parse(at);
	let sent: string[] = [];
	const clock: Clock = { now: () => now, elapsed: () => now, sleep: async () => undefined, every: () => quiet, after: () => quiet };
	const store = await openStore({ url, poolSize: 4, clock, watch: (text) => void sent.push(text) });
	await prepare(store);
	const core = createCore({ store, clock, ids: systemIds, settings: CORE_SETTINGS, log: { info: quiet, warn: quiet, error: quiet } });
	await core.start({ jobs: false });
	const call: TestCore['call'] = async (name, input, principal = ADMIN) => {
		const checked = operations[name as Name].input.parse(input);
		const caller = { principal, requestId: 'test', idempotencyKey: null, gone: () => false };
		try {
			return await (core.handlers[name] as (input: unknown, caller: unknown) => never)(checked, caller);
		} catch (error) {
			throw core.explain(error);
		}
	};
	return {
		core,
		store,
		clock,
		statements: () => sent.splice(0),
		advance: (ms) => {
			now += ms;
		},
		call,
		client: async (name) => {
			const { client } = await call('createClient', { name });
			return { kind: 'client', clientId: client.id, tokenId: client.token_id, name };
		},
		close: async () => {
			sent = [];
			await core.stop();
			await store.close();
		},
	};
};
