import { setTimeout as delay, setImmediate } from 'node:timers/promises';
import type { Random } from '../../src/fleet/random.ts';
import { balancedFetcher, type Call, type Fetcher, poolFetcher } from '../../src/fleet/transport.ts';

/** When a daemon dies: while it starts, at some time, or right after somebody sent it something that matters. */
export type Moment =
	| { readonly kind: 'startup'; readonly afterMs: number }
	| { readonly kind: 'time'; readonly afterMs: number }
	| { readonly kind: 'aimed'; readonly at: Target; readonly afterMs: number };

export type Target = 'register' | 'claim' | 'switch-report' | 'acknowledgement' | 'prices' | 'termination-report' | 'force-switch';

const TARGETS: readonly Target[] = [
	'register',
	'claim',
	'switch-report',
	'acknowledgement',
	'prices',
	'termination-report',
	'force-switch',
];
/** How long to wait for a request of the kind that is aimed at. */
const AIM_MS = 2_500;

export const drawMoment = (random: Random): Moment => {
	if (random.chance(0.1)) return { kind: 'startup', afterMs: random.between(0, 500) };
	if (random.chance(0.45)) return { kind: 'time', afterMs: random.between(20, 1_800) };
	const at = TARGETS[random.between(0, TARGETS.length - 1)] ?? 'register';
	// A request takes one to five milliseconds: before, during and after its commit, before and after its answer.
	return { kind: 'aimed', at, afterMs: random.between(0, 50) / 10 };
};

/** Waits by the tenth of a millisecond, which no timer does: what was sent has left, and nothing else happens in this process. */
export const waitExactly = async (ms: number): Promise<void> => {
	await setImmediate();
	for (const until = performance.now() + ms; performance.now() < until; );
};

/** Watches what is sent, so that a kill can be aimed at it, and so that one knows when the last of it was answered or lost. */
export type Aim<T> = {
	/** Sends to these daemons in turn. */
	fetcher(...urls: readonly string[]): Fetcher;
	/** Something of this kind is being sent by other means. */
	saw(target: T | null): void;
	/** Resolves right after something of this kind was sent, or when nothing was for a while. */
	sighted(target: T, withinMs?: number): Promise<boolean>;
	/** How many requests are under way. */
	readonly flying: number;
	/** Resolves when everything that is under way now has been answered or lost. */
	drained(): Promise<void>;
};

/** What a request is, for those who aim at it; `expecting` are handles of hosts with an order to fetch. */
export const crashTarget = ({ path }: Call, expecting: ReadonlySet<string>): Target | null => {
	if (path.endsWith('/register')) return 'register';
	if (path.endsWith('/pending-commands')) return expecting.has(path.split('/').at(-2) ?? '') ? 'claim' : null;
	if (path.endsWith('/switch-report')) return 'switch-report';
	if (path.endsWith('executed')) return 'acknowledgement';
	if (path.endsWith('/pricing-report') || path.endsWith('/decide')) return 'prices';
	if (path.endsWith('/termination-report')) return 'termination-report';
	return null;
};

export const createAim = <T>(targetOf: (call: Call) => T | null): Aim<T> => {
	const flying = new Set<Promise<unknown>>();
	let waiting: { target: T; hit: () => void } | null = null;
	const saw = (target: T | null): void => {
		if (waiting === null || waiting.target !== target) return;
		const { hit } = waiting;
		waiting = null;
		hit();
	};
	return {
		fetcher: (...urls) => {
			const pools = balancedFetcher(urls.map((url) => poolFetcher(url, 32)));
			return {
				send: (call) => {
					const flight = pools.send(call).finally(() => flying.delete(flight));
					flying.add(flight);
					saw(targetOf(call));
					return flight;
				},
				close: () => pools.close(),
			};
		},
		saw,
		sighted: async (target, withinMs = AIM_MS) => {
			const late = new AbortController();
			const hit = new Promise<boolean>((resolve) => {
				waiting = { target, hit: () => resolve(true) };
			});
			const seen = await Promise.race([hit, delay(withinMs, false, { signal: late.signal })]);
			waiting = null;
			late.abort();
			return seen;
		},
		get flying() {
			return flying.size;
		},
		drained: async () => {
			await Promise.allSettled([...flying]);
		},
	};
};
